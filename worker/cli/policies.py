"""The policies: what they say, where each value comes from, and whether they may change data."""

from typing import Any

import typer
from rich.console import Console

from policies.loader import LoadedPolicy
from policies.models import Policy
from worker import present
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.cli.policy_diff import diff
from worker.comparing import flat
from worker.documents import policies as documents
from worker.errors import DatabaseNotMigrated, DatabaseUnreachable, SettingError
from worker.logs import safe_text
from worker.operations import Person
from worker.settings import Settings

app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command()(diff)


@app.callback()
def policies(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List the policies: job, schedule, whether it may change data, next fire, last run."""
    if ctx.invoked_subcommand is not None:
        return
    settings = context.load_settings()
    loaded = context.load_policies(settings)
    with context.control(settings) as database:
        document = documents.listed(settings, database, loaded)
    if as_json:
        output.print_json(document)
        return
    found = document["policies"]
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
    document = documents.shown(summary, loaded)
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
        summary = documents.switched(settings, database, policy, person, on=on)
    if as_json:
        output.print_json(summary)
        return
    out = output.console()
    heading(out, settings.env, f"{name}: {summary['state']}")
    facts(out, [("next fire", moment(summary["next_fire"])), ("policy", policy.version)])


def _summary_if_reachable(settings: Settings, policy: Policy) -> dict[str, Any]:
    try:
        with context.control(settings) as database, database.transaction() as session:
            return documents.summary(settings, session, policy)
    except (SettingError, DatabaseUnreachable, DatabaseNotMigrated) as error:
        output.say(f"Whether {policy.name} is enabled is not known: {safe_text(error)}")
    return documents.without_database(settings, policy)


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
