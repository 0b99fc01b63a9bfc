"""`tend hold`: protect a subject's records from purges and repairs, and end that again."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select

from policies.subjects import load_subjects
from worker import holding
from worker.audit.entries import stamp
from worker.cli import context, options, output, working
from worker.cli.output import facts, heading, moment
from worker.database import Database
from worker.errors import BatchesAtWork, HoldMatchesNothing, HoldUnknown
from worker.holding import Match, Subject
from worker.masking import mask
from worker.operations import Person
from worker.settings import Settings
from worker.tables import Hold

app = typer.Typer(add_completion=False)
Case = Annotated[str, typer.Argument(metavar="CASE", help="The case, such as LEGAL-2026-14.")]
_SUBJECT = "NAME=VALUE, such as userId=66f0c1d2e3a4b5c6d7e8f901."
Found = Mapping[Subject, Sequence[Match]]


@app.command()
def add(
    case: Case,
    subject: Annotated[list[str], typer.Option("--subject", help=f"{_SUBJECT} Repeatable.")],
    reason: options.Reason,
    anticipatory: Annotated[
        bool, typer.Option("--anticipatory", help="Stand, though nothing matches yet.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Protect every record of a subject; returns when no batch without the hold is at work."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    known = load_subjects(settings.policy_directories)
    wanted = [holding.parse_subject(text, known) for text in subject]
    with (
        context.control(settings) as db,
        working.inline_engine(settings, db, person) as engine,
    ):
        added = {
            one: holding.add(db, settings.env, case, one, person, anticipatory=anticipatory)
            for one in wanted
        }
        at_work = sorted(
            {run for hold in added.values() for run in holding.await_batches(engine, hold)}
        )
        found = {one: list(holding.matches(engine, one)) for one in wanted}
        if not anticipatory:
            _must_match(db, added, found, person)
        document = {**_case(db, case), "matches": _matches(found)}
    _print(settings, document, as_json=as_json)
    if at_work:
        raise BatchesAtWork(
            f"The hold stands, but batches of {', '.join(at_work)} began before it and are at "
            "work still: look with `tend show`, and add the hold again to wait for them."
        )


@app.command()
def release(
    case: Case,
    reason: options.Reason,
    subject: Annotated[str | None, typer.Option("--subject", help=f"Only {_SUBJECT}")] = None,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """End the holds of a case, or the one on a subject; they stay on record."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    known = load_subjects(settings.policy_directories)
    only = holding.parse_subject(subject, known) if subject else None
    with context.control(settings) as db:
        holding.release(db, case, only, person)
        document = _case(db, case)
    _print(settings, document, as_json=as_json)


@app.command("list")
def list_holds(
    everything: Annotated[bool, typer.Option("--all", help="Those released, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """The holds that stand, and with --all those that ended."""
    settings = context.load_settings()
    with context.control(settings) as db, db.transaction() as session:
        query = select(Hold).order_by(Hold.id)
        if not everything:
            query = query.where(Hold.released_at.is_(None))
        found = [_as_json(hold, is_masked=True) for hold in session.scalars(query)]
    if as_json:
        output.print_json({"holds": found})
        return
    out = output.console()
    heading(out, settings.env, f"{len(found)} holds")
    names = ("case", "subject", "since", "who", "released")
    output.table(out, names, (_row(hold) for hold in found))


@app.command()
def show(case: Case, as_json: options.Json = False) -> None:
    """One case: its subjects, who added and released each, when and why."""
    settings = context.load_settings()
    with context.control(settings) as db:
        document = _case(db, case)
    _print(settings, document, as_json=as_json)


def _must_match(db: Database, added: Mapping[Subject, int], found: Found, person: Person) -> None:
    """Take back a hold that protects nothing anywhere: most likely its value was mistyped."""
    for subject, matches in found.items():
        if all(match.records == 0 for match in matches):
            holding.take_back(db, added[subject], person)
            raise HoldMatchesNothing(
                f"No record and no archive belongs to this {subject[0]}; the hold was taken back. "
                "Correct --subject, or say --anticipatory if its records are still to come."
            )


def _case(db: Database, case: str) -> dict[str, Any]:
    with db.transaction() as session:
        query = select(Hold).where(Hold.case == case).order_by(Hold.id)
        found = [_as_json(hold, is_masked=False) for hold in session.scalars(query)]
    if not found:
        raise HoldUnknown(f"There is no hold of case '{case}'; `tend hold list --all` has them.")
    return {"case": case, "holds": found}


def _as_json(hold: Hold, *, is_masked: bool) -> dict[str, Any]:
    return {
        "id": hold.id,
        "case": hold.case,
        "subject": hold.subject,
        "value": mask(hold.subject, hold.value) if is_masked else hold.value,
        "anticipatory": hold.anticipatory,
        "actor": hold.actor,
        "reason": hold.reason,
        "since": stamp(hold.at),
        "released_by": hold.released_by,
        "release_reason": hold.release_reason,
        "released_at": stamp(hold.released_at) if hold.released_at else None,
    }


def _matches(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "subject": name,
            "place": match.place,
            "records": match.records,
            "why": match.why,
            "ttl_indexes": list(match.ttl_indexes),
        }
        for (name, _), matches in found.items()
        for match in matches
    ]


def _print(settings: Settings, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    standing = sum(hold["released_at"] is None for hold in document["holds"])
    heading(out, settings.env, f"case {document['case']}: {standing} holds stand")
    for hold in document["holds"]:
        facts(out, _facts(hold))
    for match in document.get("matches", ()):
        facts(out, [("protects", _protects(match)), *_ttl(match)])


def _facts(hold: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [
        ("subject", f"{hold['subject']}={hold['value']}"),
        ("since", moment(hold["since"])),
        ("who", hold["actor"]),
        ("reason", hold["reason"]),
        ("released", moment(hold["released_at"])),
        ("released by", hold["released_by"]),
        ("because", hold["release_reason"]),
    ]


def _protects(match: dict[str, Any]) -> str:
    if match["records"] is None:
        return f"an uncounted number in {match['place']}: {match['why']}"
    return f"{match['records']:,} in {match['place']}"


def _ttl(match: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [
        ("warning", f"the TTL index {name} of {match['place']} deletes records, hold or not")
        for name in match["ttl_indexes"]
    ]


def _row(hold: dict[str, Any]) -> tuple[str, ...]:
    return (
        hold["case"],
        f"{hold['subject']}={hold['value']}",
        moment(hold["since"]) or "",
        hold["actor"],
        moment(hold["released_at"]) or "",
    )
