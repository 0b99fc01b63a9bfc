"""`tend report`: what is overdue by user or store, who had access, and what failed."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from policies.models import Policy
from policies.selectors import FieldName, Selector
from policies.subjects import load_subjects
from worker import holds, report
from worker.cli import context, options, output
from worker.cli.output import heading, moment
from worker.engine import system_clock
from worker.errors import UsageError
from worker.evidence import noticed
from worker.evidence import reports as reports_of
from worker.overdue import Source
from worker.targets.base import Target
from worker.targets.kinds import KINDS, kind_of, opened_to_look, served
from worker.times import TIME, length, moment_of

Document = dict[str, Any]
_FIELD: TypeAdapter[str] = TypeAdapter(FieldName)
Since = Annotated[str, typer.Option("--from", help=f"The period begins then. {TIME}")]
Until = Annotated[str, typer.Option("--to", help="It ends before then.")]

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def reports() -> None:
    """Reports that read and change nothing."""


@app.command()
def retention(
    policy: Annotated[str | None, typer.Option("--policy", help="Only of this policy.")] = None,
    by: Annotated[
        str, typer.Option("--by", help="The field to group by: userId, storeId, …")
    ] = "userId",
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many groups.")] = 20,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="At most so long for each policy.")
    ] = 60.0,
    as_json: options.Json = False,
) -> None:
    """Group what is overdue by user or store; 1 if a policy could not be looked at."""
    settings = context.load_settings()
    loaded = context.load_policies(settings)
    _check_field(by)
    now = system_clock()
    wanted = [loaded.get(policy).policy] if policy is not None else []
    if policy is None:
        wanted = served(settings, list(report.with_ages((one.policy for one in loaded), now)))
    subjects = load_subjects(settings.policy_directories)
    with context.control(settings) as database:
        stands = holds.now(database)
        with database.transaction() as session:
            ran = {each.name: reports_of.retained(session, each.name) for each in wanted}
    with opened_to_look(settings) as targets:
        found = [
            {
                **_grouped(
                    targets, each, holds.protected(subjects, each, stands), by, seconds, limit
                ),
                **ran[each.name],
            }
            for each in wanted
        ]
    if as_json:
        output.print_json({"policies": found})
    else:
        _show(output.console(), settings.env, found)
    if any(each["problem"] for each in found):
        raise typer.Exit(1)


@app.command()
def access(since: Since, until: Until, as_json: options.Json = False) -> None:
    """Who did what and how they are known, and every decision that takes a person."""
    settings = context.load_settings()
    period = moment_of("--from", since), moment_of("--to", until)
    with context.control(settings) as database, database.transaction() as session:
        found = reports_of.access(session, *period)
    if as_json:
        output.print_json(found)
        return
    out = output.console()
    heading(out, settings.env, f"{len(found['people'])} people")
    rows = [(one["actor"], one["proof"], _counted(one["entries"])) for one in found["people"]]
    output.table(out, ("who", "known by", "entries"), rows)
    for kind, listed in found.items():
        if kind != "people" and listed:
            out.print(output.printable(f"{kind.replace('_', ' ')}: {len(listed)}"))
            output.table(out, ("  at", "run", "policy", "who", "what"), map(_event, listed))


@app.command()
def failures(since: Since, until: Until, as_json: options.Json = False) -> None:
    """What failed, was refused or missed, why, and how it was noticed: by alerts and by people."""
    settings = context.load_settings()
    period = moment_of("--from", since), moment_of("--to", until)
    with context.control(settings) as database, database.transaction() as session:
        found = reports_of.failures(session, *period)
        alerts = list(noticed.alerts(session, *period))
    if as_json:
        output.print_json({"failures": found, "alerts": alerts})
        return
    out = output.console()
    unseen = sum(one["noticed"] is None for one in found)
    heading(out, settings.env, f"{len(found)} failures, {unseen} that nobody reacted to")
    names = ("at", "what", "run", "policy", "cause", "alert", "noticed")
    output.table(out, names, map(_failed, found))
    out.print(output.printable(f"alerts: {len(alerts)}"))
    names = ("  raised", "alert", "what", "about", "told", "answered", "over")
    output.table(out, names, map(_alert, alerts))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _event(one: Document) -> tuple[str, ...]:
    said = f"{one['action']}: {one['detail'].get('reason', '')}"
    who = f"{one['actor']} ({one['actor_proof']})"
    return f"  {moment(one['at'])}", one["run"] or "", one["policy"] or "", who, said


def _failed(one: Document) -> tuple[str, ...]:
    seen = one["noticed"]
    reaction = "by nobody yet"
    if seen is not None:
        reaction = f"{seen['actor']}: {seen['action']} after {length(seen['after_seconds'])}"
    alert = one["alerted"]
    alerted = "" if alert is None else f"{alert['alert']} after {length(alert['after_seconds'])}"
    said = (one["what"], one["run"] or "", one["policy"] or "", one["cause"] or "")
    return moment(one["at"]) or "", *said, alerted, reaction


def _alert(one: Document) -> tuple[str, ...]:
    answered = "by nobody"
    if one["acknowledged_at"] is not None:
        answered = f"{one['acknowledged_by']}, {moment(one['acknowledged_at'])}"
    return (
        f"  {moment(one['raised_at'])}",
        f"{one['alert']} {one['severity']}",
        one["title"],
        one["cause"],
        moment(one["told_at"]) or "no channel took it",
        answered,
        moment(one["cleared_at"]) or "stands",
    )


def _check_field(by: str) -> None:
    try:
        _FIELD.validate_python(by)
    except ValidationError as error:
        raise UsageError(f"--by {by} is no field; write one such as userId or storeId.") from error


def _grouped(
    targets: Mapping[str, Target],
    policy: Policy,
    held: Selector | None,
    by: str,
    seconds: float,
    limit: int,
) -> Document:
    kind = kind_of(policy) or ""
    if kind not in targets:
        return report.unknown(policy, by, KINDS[kind].unset)
    source = Source(targets[kind], policy, system_clock(), held)
    return report.retention(source, by, seconds, limit)


def _show(out: Console, environment: str, found: list[Document]) -> None:
    heading(out, environment, f"overdue in {len(found)} policies")
    for each in found:
        out.print(output.printable(_title(each)))
        if each["groups"] or each["without"]:
            output.table(out, (f"  {each['by']}", "records", "oldest", "age"), _rows(each))


def _title(each: Document) -> str:
    if each["problem"]:
        return f"{each['policy']}: {each['problem']}"
    least = "at least " if each["at_least"] else ""
    age = each["oldest_age_seconds"]
    oldest = "" if age is None else f", the oldest {length(age)} old"
    last = each["last_success_at"]
    success = "never succeeded" if last is None else f"last success {moment(last)}"
    held = f", {each['held']:,} held" if each["held"] else ""
    return (
        f"{each['policy']}: {least}{each['records']:,} records overdue{oldest}; {success}, "
        f"{each['deleted']:,} deleted in all{held}"
    )


def _rows(each: Document) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        (
            f"  {group['value']}",
            f"{group['records']:,}",
            moment(group["oldest"]) or "",
            length(group["oldest_age_seconds"]) if group["oldest"] else "",
        )
        for group in each["groups"]
    ]
    rest, without = each["rest"], each["without"]
    if rest["groups"]:
        rows.append((f"  {rest['groups']:,} more", f"{rest['records']:,}", "", ""))
    if without:
        rows.append((f"  without {each['by']}", f"{without:,}", "", ""))
    return rows
