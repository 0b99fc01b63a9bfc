"""`tend runs` and `tend show`: what was run, by whom, and what became of it."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker import present
from worker import runs as store
from worker.archive import ArchiveStore
from worker.audit.entries import stamp
from worker.cli import context, options, output
from worker.cli.output import exact, facts, heading, moment, number
from worker.database import Database
from worker.errors import ArchiveError, SettingError
from worker.keys import Keyring
from worker.logs import safe_text
from worker.settings import Settings
from worker.states import State
from worker.tables import Chunk, Run

LISTED = 20


def runs(
    policy: Annotated[str | None, typer.Option("--policy", help="Only of this policy.")] = None,
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = LISTED,
    as_json: options.Json = False,
) -> None:
    """List the latest runs, newest first."""
    settings = context.load_settings()
    query = select(Run).order_by(Run.id.desc()).limit(limit)
    if policy is not None:
        query = query.where(Run.policy == policy)
    if state is not None:
        query = query.where(Run.state == state)
    with context.control(settings) as database, database.transaction() as session:
        found = [present.run_as_json(session, run) for run in session.scalars(query)]
    if not found and policy is not None:
        context.load_policies(settings).get(policy)
    if as_json:
        output.print_json({"runs": found})
        return
    out = output.console()
    heading(out, settings.env, f"{len(found)} runs" if found else "no runs")
    names = ("run", "policy", "state", "changed", "who", "created", "reason")
    output.table(out, names, (_row(run) for run in found))


def show(run: options.RunId, as_json: options.Json = False) -> None:
    """Show one run: state, why, what it waits for, counts, chunks, timings, who."""
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with context.control(settings) as database:
        with database.transaction() as session:
            found = store.get(session, run_id)
            document = present.run_as_json(session, found)
            more = {
                "applied_by": found.applied_by,
                "applying_at": stamp(found.applying_at) if found.applying_at else None,
                "chunks": {way: _chunks(session, run_id, way) for way in ("apply", "undo")},
            }
        failed = listed(settings, database, run_id, "apply", "failed")
        conflicts = listed(settings, database, run_id, "undo", "conflict")
    if as_json:
        lists = {"failed_records": failed, "conflict_records": conflicts}
        output.print_json({**document, **more, **lists})
        return
    out = output.console()
    show_run(out, document)
    _show_work(out, more)
    show_records(out, "failed", failed, document["failed"])
    show_records(out, "in conflict", conflicts, document["conflicts"])


def document_of(database: Database, run_id: int) -> present.Document:
    with database.transaction() as session:
        return present.run_as_json(session, store.get(session, run_id))


def listed(
    settings: Settings,
    database: Database,
    run_id: int,
    direction: str,
    outcome: str,
    limit: int | None = LISTED,
) -> list[present.Document] | None:
    """The first records with this outcome; None, and a sentence, if the archive is not at hand."""
    with database.transaction() as session:
        run = store.get(session, run_id)
        objects = present.exceptions(session, run, direction)
    if not objects:
        return []
    try:
        archive = ArchiveStore(settings.need("archive_url"))
        keyring = Keyring.from_settings(settings)
        return list(islice(present.records(run, objects, outcome, archive, keyring), limit))
    except (ArchiveError, SettingError) as error:
        output.say(f"The records of r-{run_id} cannot be listed: {safe_text(error)}")
        return None


def show_run(out: Console, run: present.Document) -> None:
    heading(
        out, run["environment"], f"{run['id']} of {run['policy']}: {present.state_in_words(run)}"
    )
    skipped = run["skipped"]
    facts(
        out,
        [
            ("waits for", run["waiting_for"]),
            ("throttle", _throttle(run["throttle"])),
            ("refused", run["refusal"]),
            *_approval(run),
            ("error", run["error"]),
            ("reason", run["reason"]),
            ("who", _who(run)),
            ("trigger", run["trigger"]),
            ("due", moment(run["scheduled_for"])),
            ("cutoff", exact(run["cutoff"]) if run["cutoff"] else None),
            ("planned", _planned(run)),
            ("reported", present.reported_in_words(run)),
            ("changed", number(run["changed"]) if run["digest"] else None),
            ("with them", present.cascade_in_words(run["cascade"])),
            ("changed since the plan", number(skipped["changed_since"] or None)),
            ("gone since the plan", number(skipped["gone"] or None)),
            ("not reached", number(skipped["not_reached"] or None)),
            ("failed", number(run["failed"] or None)),
            ("held", number(run["held"] or None)),
            ("uncertain", number(run["uncertain"] or None)),
            *(("left", part) for part in present.left_in_words(run)),
            ("restored", number(run["restored"] or None)),
            ("restored with them", present.cascade_in_words(run["cascade_restored"])),
            ("conflicts", number(run["conflicts"] or None)),
            ("created", moment(run["created_at"])),
            ("started", moment(run["started_at"])),
            ("finished", moment(run["finished_at"])),
            ("policy version", run["policy_version"]),
            ("digest", run["digest"]),
        ],
    )


def show_records(out: Console, what: str, found: list[present.Document] | None, total: int) -> None:
    if not found:
        return
    rest = f", the first {len(found)} of {total:,}" if total > len(found) else ""
    output.table(
        out,
        (f"  {what}{rest}", "code"),
        (("  " + str(record["key"]), str(record["code"] or "")) for record in found),
    )


def _show_work(out: Console, more: present.Document) -> None:
    chunks = ((f"chunks, {way}", _counted(counts)) for way, counts in more["chunks"].items())
    applied = [("applied by", more["applied_by"]), ("applied", moment(more["applying_at"]))]
    facts(out, [*applied, *chunks])


def _throttle(said: present.Document | None) -> str | None:
    return f"{said['says']} since {moment(said['since'])}: {said['why']}" if said else None


def _planned(run: present.Document) -> str | None:
    if run["population"] is None:
        return None
    return f"{run['planned']:,} of {run['population']:,}"


def _approval(run: present.Document) -> Iterator[tuple[str, str | None]]:
    """Why another person was asked, who overrode a guard, and who decided what."""
    approval = run["approval"]
    if approval is None:
        return
    yield "approval", approval["cause"]
    for one in approval["overrides"]:
        yield "overridden", f"{one['guard']} by {one['actor']}: {one['reason']}"
    if approval["decided_by"] is not None:
        verdict = "rejected" if run["state"] == State.REJECTED else "approved"
        yield verdict, f"by {approval['decided_by']}: {approval['decision']}"


def _who(run: present.Document) -> str:
    behalf = f", on behalf of {run['on_behalf_of']}" if run["on_behalf_of"] else ""
    return f"{run['actor']} ({run['actor_proof']}){behalf}"


def _chunks(session: Session, run_id: int, direction: str) -> dict[str, int]:
    """How many chunks there are in each state."""
    counted = session.execute(
        select(Chunk.state, func.count())
        .where(Chunk.run_id == run_id, Chunk.direction == direction)
        .group_by(Chunk.state)
    )
    return {str(state): int(count) for state, count in counted}


def _counted(counts: dict[str, int]) -> str | None:
    return ", ".join(f"{count:,} {state}" for state, count in counts.items()) or None


def _row(run: present.Document) -> tuple[str, ...]:
    return (
        run["id"],
        run["policy"],
        present.state_in_words(run),
        f"{run['changed']:,} of {run['planned']:,}",
        run["actor"],
        moment(run["created_at"]) or "",
        run["reason"],
    )
