"""`tend runs` and `tend show`: what was run, by whom, and what became of it."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console

from worker import present
from worker import runs as store
from worker.cli import context, options, output
from worker.cli.output import exact, facts, heading, moment, number
from worker.documents import runs as documents
from worker.documents.runs import LISTED, Wanted
from worker.states import State


def runs(
    policy: Annotated[str | None, typer.Option("--policy", help="Only of this policy.")] = None,
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = LISTED,
    before: Annotated[
        str | None, typer.Option("--before", metavar="RUN", help="Only runs older than this one.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the latest runs, newest first."""
    settings = context.load_settings()
    wanted = Wanted(policy, state, limit, None if before is None else store.parse_id(before))
    with context.control(settings) as database:
        document = documents.listed(database, lambda: context.load_policies(settings), wanted)
    if as_json:
        output.print_json(document)
        return
    found = document["runs"]
    out = output.console()
    heading(out, settings.env, f"{len(found)} runs" if found else "no runs")
    names = ("run", "policy", "state", "changed", "who", "created", "reason")
    output.table(out, names, (_row(run) for run in found))


def show(run: options.RunId, as_json: options.Json = False) -> None:
    """Show one run: state, why, what it waits for, counts, chunks, timings, who."""
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with context.control(settings) as database:
        document = documents.shown(settings, database, run_id, output.say)
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    show_run(out, document)
    _show_work(out, document)
    show_records(out, "failed", document["failed_records"], document["failed"])
    show_records(out, "in conflict", document["conflict_records"], document["conflicts"])


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
