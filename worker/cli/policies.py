"""The policies: what they say, where each value comes from, and whether they may change data."""

from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.loader import LoadedPolicy
from policies.models import Policy, Schedule
from worker import operations, present
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.cli.policy_diff import diff
from worker.comparing import flat
from worker.errors import DatabaseNotMigrated, DatabaseUnreachable, SettingError
from worker.logs import safe_text
from worker.operations import Person
from worker.settings import Settings
from worker.switches import next_fire, state_of
from worker.tables import Run, Switch
from worker.targets.kinds import is_served

app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command()(diff)


@app.callback()
def policies(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List the policies: job, schedule, whether it may change data, next fire, last run."""
    if ctx.invoked_subcommand is not None:
        return
    settings = context.load_settings()
    loaded = context.load_policies(settings)
    with context.control(settings) as database, database.transaction() as session:
        found = [_summary(settings, session, each.policy) for each in loaded]
    if as_json:
        output.print_json({"policies": found})
        return
    out = output.console()
    heading(out, settings.env, f"{len(found)} policies")
    names = ("policy", "job", "schedule", "state", "next fire", "last run")
    output.table(out, names, (_row(each) for each in found))


@app.command()
def show(policy: options.PolicyName, as_json: options.Json = False) -> None:
    """Show a policy as it is in effect, with the file and line that each value came from."""
    settings = context.load_settings()
    loaded = context.load_policies(settings).get(policy)
    summary = _summary_if_reachable(settings, loaded.policy)
    document = {
        **summary,
        "policy": loaded.policy.model_dump(mode="json"),
        "origins": dict(loaded.origins),
    }
    if as_json:
        output.print_json(document)
    else:
        _show(output.console(), settings, loaded, document)


def enable(
    policy: options.PolicyName,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let scheduled fires of this very text change data; also resumes a paused schedule."""
    _switch(policy, context.person(reason, on_behalf_of), on=True, as_json=as_json)


def disable(
    policy: options.PolicyName,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let scheduled fires only plan and report again."""
    _switch(policy, context.person(reason, on_behalf_of), on=False, as_json=as_json)


def _switch(name: str, person: Person, *, on: bool, as_json: bool) -> None:
    settings = context.load_settings()
    policy = context.load_policies(settings).get(name).policy
    with context.control(settings) as database:
        if on:
            operations.enable(database, policy, person)
        else:
            operations.disable(database, policy, person)
        with database.transaction() as session:
            summary = _summary(settings, session, policy)
    if as_json:
        output.print_json(summary)
        return
    out = output.console()
    heading(out, settings.env, f"{name}: {summary['state']}")
    facts(out, [("next fire", moment(summary["next_fire"])), ("policy", policy.version)])


def _summary(settings: Settings, session: Session, policy: Policy) -> dict[str, Any]:
    switch = session.get(Switch, policy.name)
    newest = select(func.max(Run.id)).where(Run.policy == policy.name).scalar_subquery()
    last = session.scalars(select(Run).where(Run.id == newest)).first()
    return {
        **_known_without_database(policy),
        **_fires(settings, policy, switch),
        "last_run": present.run_as_json(session, last) if last else None,
    }


def _fires(settings: Settings, policy: Policy, switch: Switch | None) -> dict[str, Any]:
    if not is_served(settings, policy):
        return {"state": "no_target", "next_fire": None}
    fires = next_fire(policy, switch, datetime.now(UTC))
    return {"state": state_of(policy, switch), "next_fire": fires}


def _summary_if_reachable(settings: Settings, policy: Policy) -> dict[str, Any]:
    try:
        with context.control(settings) as database, database.transaction() as session:
            return _summary(settings, session, policy)
    except (SettingError, DatabaseUnreachable, DatabaseNotMigrated) as error:
        output.say(f"Whether {policy.name} is enabled is not known: {safe_text(error)}")
    return {
        **_known_without_database(policy),
        **_fires(settings, policy, None),
        "state": None,
        "last_run": None,
    }


def _known_without_database(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "job": policy.job,
        "description": policy.description,
        "schedule": _schedule(policy.schedule),
        "version": policy.version,
    }


def _schedule(schedule: Schedule | None) -> str | None:
    if schedule is None:
        return None
    return (schedule.cron and f"{schedule.cron} {schedule.timezone}") or f"every {schedule.every}"


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    last = each["last_run"]
    return (
        each["name"],
        each["job"],
        each["schedule"] or "by hand only",
        each["state"].replace("_", " "),
        moment(each["next_fire"]) or "",
        f"{last['id']} {present.state_in_words(last)}" if last else "",
    )


def _show(out: Console, settings: Settings, loaded: LoadedPolicy, document: dict[str, Any]) -> None:
    last = document["last_run"]
    heading(out, settings.env, f"{document['name']}: {document['state'] or 'state not known'}")
    facts(
        out,
        [
            ("version", document["version"]),
            ("next fire", moment(document["next_fire"])),
            ("last run", f"{last['id']} {present.state_in_words(last)}" if last else None),
        ],
    )
    values = dict(flat(document["policy"], ""))
    rows = ((key, str(values[key]), origin) for key, origin in loaded.origins.items())
    output.table(out, ("key", "value", "from"), rows)
