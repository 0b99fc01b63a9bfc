"""`tend alerts`: what is wrong now, how soon somebody must answer, and that somebody does."""

from typing import Annotated, Any

import typer

from worker.alerts import answering
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.keys import Keyring
from worker.settings import Settings

app = typer.Typer(add_completion=False, invoke_without_command=True)
AlertId = Annotated[str, typer.Argument(metavar="ALERT", help="An alert's id, such as a-12.")]


@app.callback()
def alerts(
    ctx: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the alerts that stand, the worst first."""
    if ctx.invoked_subcommand is not None:
        return
    settings = context.load_settings()
    keyring = Keyring.from_settings(settings)
    with context.control(settings) as database, database.transaction() as session:
        found = answering.listed(session, keyring, over=everything)
    if as_json:
        output.print_json({"alerts": found})
        return
    out = output.console()
    heading(out, settings.env, f"{len(found)} alerts" if found else "no alerts")
    if found:
        names = ("alert", "severity", "state", "since", "what happened", "next")
        output.table(out, names, (_row(each) for each in found))


@app.command()
def show(alert: AlertId, as_json: options.Json = False) -> None:
    """Show one alert: what happened, what is unaffected, what to do, who answered."""
    settings = context.load_settings()
    _print(settings, alert, as_json=as_json)


@app.command()
def ack(
    alert: AlertId,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Say that you look after an alert: it is not escalated then, and still told of each day."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as database:
        answering.acknowledge(database, alert, person)
    _print(settings, alert, as_json=as_json)


def _print(settings: Settings, wanted: str, *, as_json: bool) -> None:
    keyring = Keyring.from_settings(settings)
    with context.control(settings) as database, database.transaction() as session:
        found = answering.as_json(session, keyring, answering.get(session, wanted))
    if as_json:
        output.print_json(found)
        return
    out = output.console()
    heading(out, settings.env, f"{found['id']}: {found['severity']}, {found['state']}")
    facts(
        out,
        [
            ("what", found["title"]),
            ("happened", found["text"]),
            ("unaffected", found["unaffected"]),
            ("next", found["next"]),
            ("since", moment(found["raised_at"])),
            ("answer by", moment(found["answer_by"])),
            ("answered by", found["acknowledged_by"]),
            ("answered", moment(found["acknowledged_at"])),
            ("because", found["acknowledgement"]),
            ("escalated", moment(found["escalated_at"])),
            ("over", moment(found["cleared_at"])),
        ],
    )


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    since = moment(each["raised_at"]) or ""
    return (each["id"], each["severity"], each["state"], since, each["text"], each["next"])
