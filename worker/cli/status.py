"""`tend status`: the policies, what is overdue, the processes and the runs under way."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from policies.subjects import load_subjects
from worker import present
from worker import status as looked_at
from worker.cli import context, options, output
from worker.cli.output import heading, moment
from worker.console import readiness
from worker.documents.brake import pulled_as_json
from worker.engine import system_clock
from worker.targets.kinds import opened_to_look
from worker.times import length

Document = dict[str, Any]


def status(as_json: options.Json = False) -> None:
    """Show policies, what is overdue, processes, and runs at work or waiting; ends in seconds.

    Exits 0 whatever it shows: `tend doctor` and the health checks are there to fail.
    """
    settings = context.load_settings()
    policies = [loaded.policy for loaded in context.load_policies(settings)]
    subjects = load_subjects(settings.policy_directories)
    with context.control(settings) as database, opened_to_look(settings) as targets:
        rows = looked_at.policies(database, policies, targets, subjects, system_clock())
        processes = readiness.examine(database)
        with database.transaction() as session:
            runs = looked_at.runs(session)
            brakes = pulled_as_json(session)
    document = {
        "brakes": brakes,
        "processes": {kind: asdict(processes[kind]) for kind in readiness.KINDS},
        "policies": rows,
        "runs": runs,
    }
    if as_json:
        output.print_json(document)
    else:
        _show(output.console(), settings.env, document)


def _show(out: Console, environment: str, document: Document) -> None:
    rows = document["policies"]
    enabled = sum(row["state"] == "enabled" for row in rows)
    heading(out, environment, f"{len(rows)} policies, {enabled} enabled")
    for brake in document["brakes"]:
        out.print(output.printable(_brake(brake)))
    for kind, process in document["processes"].items():
        age = process["age_seconds"]
        seen = f" (seen {length(age)} ago)" if age is not None else ""
        out.print(output.printable(f"{kind}: {process['says']}{seen}"))
    names = ("policy", "state", "overdue", "oldest", "last success", "next fire")
    output.table(out, names, (_row(row) for row in rows))
    for row in rows:
        if row["problem"]:
            out.print(output.printable(f"{row['policy']}: {row['problem']}"))
    for run in document["runs"]:
        out.print(output.printable(_run(run)))


def _brake(brake: Document) -> str:
    scope = f"for {brake['policy']}" if brake["policy"] else "for all policies"
    return (
        f"THE BRAKE IS PULLED {scope}, by {brake['actor']} since {moment(brake['since'])}: "
        f"{brake['reason']}"
    )


def _row(row: Document) -> tuple[str, ...]:
    changed = " (text changed since it was enabled)" if row["changed_since_enabled"] else ""
    return (
        row["policy"],
        row["state"].replace("_", " ") + changed,
        _count(row),
        _oldest(row["overdue"]),
        _last(row),
        moment(row["next_fire"]) or "",
    )


def _count(row: Document) -> str:
    overdue = row["overdue"]
    if overdue is None:
        return "not known" if row["problem"] else ""
    return f"at least {overdue['count']:,}" if overdue["at_least"] else f"{overdue['count']:,}"


def _oldest(overdue: Document | None) -> str:
    if overdue is None or overdue["oldest"] is None:
        return ""
    return length(overdue["oldest_age_seconds"])


def _last(row: Document) -> str:
    """The last success, and what became of the run after it if that was none."""
    success, last = row["last_success"], row["last_run"]
    told = f"{success['run']} {moment(success['at'])}" if success else "never"
    return told if last in (None, success) else f"{told}, then {last['run']} {last['state']}"


def _run(run: Document) -> str:
    waits = f", waits for {run['waiting_for']}" if run["waiting_for"] else ""
    done = f", {run['changed']:,} of {run['planned']:,}" if run["digest"] else ""
    return f"{run['id']} of {run['policy']}: {present.state_in_words(run)}{done}{waits}"
