"""`tend hold`: protect a subject's records from purges and repairs, and end that again."""

from typing import Annotated, Any

import typer

from policies.subjects import load_subjects
from worker import holding
from worker.cli import context, options, output, working
from worker.cli.output import facts, heading, moment
from worker.documents import holds as documents
from worker.settings import Settings

app = typer.Typer(add_completion=False)
Case = Annotated[str, typer.Argument(metavar="CASE", help="The case, such as LEGAL-2026-14.")]
_SUBJECT = "NAME=VALUE, such as userId=66f0c1d2e3a4b5c6d7e8f901."


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
        document, at_work = documents.add(
            engine, settings.env, case, wanted, person, anticipatory=anticipatory
        )
    _print(settings, document, as_json=as_json)
    if at_work is not None:
        raise at_work


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
        document = documents.case_of(db, case)
    _print(settings, document, as_json=as_json)


@app.command("list")
def list_holds(
    everything: Annotated[bool, typer.Option("--all", help="Those released, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """The holds that stand, and with --all those that ended."""
    settings = context.load_settings()
    with context.control(settings) as db:
        document = documents.listed(db, everything=everything)
    if as_json:
        output.print_json(document)
        return
    found = document["holds"]
    out = output.console()
    heading(out, settings.env, f"{len(found)} holds")
    names = ("case", "subject", "since", "who", "released")
    output.table(out, names, (_row(hold) for hold in found))


@app.command()
def show(case: Case, as_json: options.Json = False) -> None:
    """One case: its subjects, who added and released each, when and why."""
    settings = context.load_settings()
    with context.control(settings) as db:
        document = documents.case_of(db, case)
    _print(settings, document, as_json=as_json)


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
