"""The probes: how they are, one whole with its plots, and a look that is made now."""

from typing import Annotated, Any

import typer

from policies.probes import Probe
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.documents import probes as documents
from worker.engine import system_clock
from worker.settings import Settings
from worker.times import length

app = typer.Typer(add_completion=False, invoke_without_command=True)

Document = dict[str, Any]
Name = Annotated[str, typer.Argument(metavar="PROBE", help="A probe's name.")]
_BARS = "▁▂▃▄▅▆▇█"
MOST = 40
"""Lines that a person is shown; `--json` has all."""


@app.callback()
def probes(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List the probes, the worst first: what is ill, since when, and when it was looked at."""
    if ctx.invoked_subcommand is not None:
        return
    settings = context.load_settings()
    with context.control(settings) as database:
        document = documents.listed(settings, database)
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    found = document["probes"]
    ill = sum(one["state"] == "ill" for one in found)
    heading(out, settings.env, f"{len({one['probe'] for one in found})} probes, {ill} ill")
    names = ("probe", "kind", "state", "severity", "looked", "what")
    output.table(out, names, (_row(one) for one in found))


@app.command()
def show(probe: Name, as_json: options.Json = False) -> None:
    """Show one probe: its troubles with what to do, and a plot of what the last looks read."""
    settings = context.load_settings()
    with context.control(settings) as database:
        found = documents.shown(settings, database, probe)
    if as_json:
        output.print_json(found)
    else:
        _show(settings, found)


@app.command()
def run(probe: Name, as_json: options.Json = False) -> None:
    """Look once, now and from here; counts of looks in a row and alerts stay as they are."""
    settings = context.load_settings()
    wanted = documents.named(settings, probe)
    with context.control(settings) as database:
        looked = documents.looked(settings, database, probe)
    if as_json:
        output.print_json(looked)
        return
    out = output.console()
    readings = looked["readings"]
    ill = sum(one["ill"] is True for one in readings)
    heading(
        out, settings.env, f"{probe}: {looked['off'] or f'{len(readings)} readings, {ill} ill'}"
    )
    for remark in looked["remarks"]:
        out.print(output.printable(f"skipped: {remark}"))
    worst = sorted(readings, key=lambda one: (one["ill"] is not True, one["ill"] is None))
    names = ("subject", "check", "is", "value", "seen")
    output.table(out, names, (_reading(wanted, one) for one in worst[:MOST]))
    _more(len(worst))


def _row(one: Document) -> tuple[str, ...]:
    name = f"{one['probe']} on {one['place']}" if one["place"] else one["probe"]
    return (name, one["kind"], one["state"], one["severity"] or "", _ago(one), _what(one))


def _ago(one: Document) -> str:
    if one["looked_at"] is None:
        return "never"
    seconds = (system_clock() - output.utc(one["looked_at"])).total_seconds()
    return f"{length(max(0.0, seconds))} ago"


def _what(one: Document) -> str:
    if one["off"]:
        return str(one["off"])
    if not one["troubles"]:
        return ""
    first = one["troubles"][0]
    more = f" (and {len(one['troubles']) - 1} more)" if len(one["troubles"]) > 1 else ""
    return f"{first['subject']}: {first['says'] or first['check']}{more}"


def _show(settings: Settings, found: Document) -> None:
    out = output.console()
    heading(out, settings.env, f"{found['probe']}: {found['description']}")
    for place in found["places"]:
        where = f" on {place['place']}" if place["place"] else ""
        took = f", took {place['took_ms']:,} ms" if place["took_ms"] is not None else ""
        state = f"{place['state']}{where}, looked {_ago(place)}{took}"
        out.print(output.printable(f"{state}: {place['off']}" if place["off"] else state))
        for remark in place["remarks"]:
            out.print(output.printable(f"skipped: {remark}"))
        for trouble in place["troubles"][:MOST]:
            facts(out, _facts(trouble))
        _more(len(place["troubles"]))
    names = ("subject", "check", "value", "last looks")
    output.table(out, names, (_line(one) for one in found["plots"][:MOST]))
    _more(len(found["plots"]))


def _facts(trouble: Document) -> tuple[tuple[str, str], ...]:
    raised = f"raised as {trouble['alert']}" if trouble["alert"] else "raised"
    stands = raised if trouble["raised"] else "not raised yet"
    return (
        (trouble["severity"], f"{trouble['subject']}, {trouble['check']}: {trouble['says']}"),
        ("since", f"{moment(trouble['since'])}, {stands}"),
        ("means", trouble["means"]),
        ("do", trouble["todo"]),
    )


def _line(one: Document) -> tuple[str, ...]:
    value = "" if one["value"] is None else f"{one['value']:,.10g} {one['unit']}"
    return (one["subject"], one["check"], value, sparkline(one["points"]))


def sparkline(points: list[Document]) -> str:
    """A bar for each look; without values, a dot for each that was well and an x for ill."""
    values = [one["value"] for one in points if one["value"] is not None]
    if not values:
        return "".join("x" if one["ill"] else "·" for one in points)
    least, range_ = min(values), max(values) - min(values)
    steps = len(_BARS) - 1
    return "".join(
        " " if one["value"] is None
        else _BARS[round(steps * (one["value"] - least) / range_) if range_ else 0]
        for one in points
    )  # fmt: skip


def _reading(probe: Probe, one: Document) -> tuple[str, ...]:
    state = {True: "ill", False: "well", None: "not known"}[one["ill"]]
    unit = probe.check(one["check"]).unit
    value = "" if one["value"] is None else f"{one['value']:,.10g} {unit}"
    return (one["subject"], one["check"], state, value, one["says"])


def _more(count: int) -> None:
    if count > MOST:
        output.say(f"and {count - MOST} more; --json has all of them.")
