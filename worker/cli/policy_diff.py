"""`tend policies diff`: what a policy's text would change, and on how many records."""

from typing import Any

from rich.console import Console

from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.documents import policies as documents

Document = dict[str, Any]


def diff(policy: options.PolicyName, as_json: options.Json = False) -> None:
    """Show what the text changes since it was enabled, or run, last, and its effect in records."""
    settings = context.load_settings()
    wanted = context.load_policies(settings).get(policy).policy
    with context.control(settings) as database:
        document = documents.compared(settings, database, wanted)
    if as_json:
        output.print_json(document)
    else:
        _show(output.console(), settings.env, document)


def _show(out: Console, environment: str, document: Document) -> None:
    against = document["against"]
    count = len(document["changes"])
    what = "never enabled and never run" if against is None else f"{count} changed values"
    heading(out, environment, f"{document['name']}: {what}")
    if against is not None:
        since = "enabled" if against["how"] == "enabled" else f"run as {against['run']}"
        facts(
            out,
            [
                (since, f"{against['actor']} at {moment(against['at'])}"),
                ("reason", against["reason"]),
                ("revision", _revisions(against["revision"], document["revision"])),
            ],
        )
    rows = (
        (one["key"], _value(one["before"]), _value(one["after"])) for one in document["changes"]
    )
    if count:
        output.table(out, ("key", "before", "now"), rows)
    out.print(output.printable(_effect_in_words(document["effect"])))
    for side in ("before", "after"):
        said = document["effect"][side]
        if said is not None and said["problem"]:
            output.say(f"{side}: {said['problem']}")


def _effect_in_words(effect: Document) -> str:
    after = _records(effect["after"])
    if effect["before"] is None:
        return f"finds {after} records now"
    return f"{_records(effect['before'])} → {after} records"


def _records(found: Document) -> str:
    if found["count"] is None:
        return "not known"
    return f"{'at least ' if found['at_least'] else ''}{found['count']:,}"


def _revisions(before: str | None, now: str | None) -> str | None:
    return None if before is None and now is None else f"{before or '?'} → {now or '?'}"


def _value(value: Any) -> str:
    return "" if value is None else str(value)
