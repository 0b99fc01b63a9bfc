"""`tend report retention`: what is overdue, by user or by store, without a run."""

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
from worker.cli.output import heading, length, moment
from worker.engine import system_clock
from worker.errors import UsageError
from worker.overdue import Source
from worker.targets.base import Target
from worker.targets.kinds import KINDS, kind_of, opened_to_look, served

Document = dict[str, Any]
_FIELD: TypeAdapter[str] = TypeAdapter(FieldName)

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def reports() -> None:
    """Reports that read the target and change nothing."""


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
    with opened_to_look(settings) as targets:
        found = [
            _grouped(targets, each, holds.protected(subjects, each, stands), by, seconds, limit)
            for each in wanted
        ]
    if as_json:
        output.print_json({"policies": found})
    else:
        _show(output.console(), settings.env, found)
    if any(each["problem"] for each in found):
        raise typer.Exit(1)


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
    return f"{each['policy']}: {least}{each['records']:,} records overdue"


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
