"""`tend explain`: one record, the policies that would touch it, and the runs that did."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.console import Console

from policies.subjects import load_subjects
from worker.archive import ArchiveStore
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.engine import system_clock
from worker.explain import past
from worker.explain.address import parse
from worker.explain.explain import Question, places
from worker.explain.explain import explain as explained
from worker.explain.store import Store
from worker.keys import Keyring
from worker.targets.kinds import KINDS
from worker.times import length

Document = dict[str, Any]


def explain(
    record: Annotated[
        str, typer.Argument(metavar="RECORD", help="Such as mongo/salesData/65a1b2…")
    ],
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="How long past runs are searched.")
    ] = past.SECONDS,
    as_json: options.Json = False,
) -> None:
    """Say which policies would touch a record and when, and what past runs did to it."""
    settings = context.load_settings()
    policies = [loaded.policy for loaded in context.load_policies(settings)]
    subjects = load_subjects(settings.policy_directories)
    archive = ArchiveStore(settings.need("archive_url"))
    keyring = Keyring.from_settings(settings)
    with context.control(settings) as database:
        address = parse(record, places(policies, database))
        with closing(KINDS[address.target].open_to_look(settings)) as target:
            store = Store(database, archive, keyring)
            question = Question(policies, store, target, subjects, system_clock(), seconds)
            document = explained(question, address)
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    heading(out, settings.env, f"{address.place}/{document['id']}: {_found(document)}")
    for note in document["notes"]:
        output.say(note)
    for each in document["records"]:
        _show_record(out, each)
    _show_past(out, document)


def _found(document: Document) -> str:
    records = document["records"]
    if not records:
        return "there is no such record"
    kinds = [f"{each['key_type']} by its {each['found_by']}" for each in records]
    return f"found as {' and as '.join(kinds)}"


def _show_record(out: Console, record: Document) -> None:
    if record["facts"]:
        facts(out, [(_label(name), _fact(name, record)) for name in record["facts"]])
    for hold in record["holds"]:
        since = moment(hold["since"])
        text = f"under the legal hold of {hold['case']} since {since}: {hold['reason']}"
        out.print(output.printable(text))
    if not record["policies"]:
        out.print("No policy works on this collection.")
    for judged in record["policies"]:
        out.print(output.printable(f"{judged['policy']} ({judged['state']}): {_when(judged)}"))
        for line in _conditions(judged["condition"], "  "):
            out.print(output.printable(line))


def _label(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _fact(name: str, record: Document) -> str:
    value = record["facts"][name]
    if value is None:
        return "not known"
    if name.endswith("_seconds"):
        return length(value)
    return _plain(value)


def _when(judged: Document) -> str:
    """From when on the policy would touch it, and what its fire would do."""
    if judged["from"] is None:
        return "would not touch it, as it stands"
    begins = "now" if judged["matches"] else f"from {moment(judged['from'])} on"
    until = f" until {moment(judged['until'])}" if judged["until"] else ""
    fires = f", next fire {moment(judged['next_fire'])}" if judged["next_fire"] else ""
    unless = (
        ", unless records of other collections speak for it" if judged["asks_elsewhere"] else ""
    )
    return f"would {_change(judged['change'])} {begins}{until}{unless}{fires}"


def _change(change: Document) -> str:
    match change["does"]:
        case "delete":
            return "delete it"
        case "set":
            written = [f"set {name} to {to}" for name, to in change["fields"].items()]
            return ", ".join([*written, *(f"remove {name}" for name in change["unset"])])
        case "quarantine":
            return f"move it to the quarantine for {', '.join(change['codes'])}"
        case _:
            return f"leave it, as {change['code']},"


def _conditions(condition: Document, indent: str) -> Iterator[str]:
    mark = "✓" if condition["holds"] else "✗"
    yield f"{indent}{mark} {condition['says']}{_value(condition)}"
    for part in condition.get("parts", ()):
        yield from _conditions(part, indent + "  ")


def _value(condition: Document) -> str:
    if "field" not in condition:
        return ""
    value = _plain(condition["value"]) if condition["present"] else "no such field"
    turn = moment(condition["turns_at"])
    if turn is None:
        return f": {value}"
    return (
        f": {value}, true until {turn}" if condition["holds"] else f": {value}, true from {turn} on"
    )


def _plain(value: Any) -> str:
    """As JSON has it, but text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _show_past(out: Console, document: Document) -> None:
    for each in document["runs"]:
        out.print(output.printable(_in_words(each)))
    out.print(output.printable(_searched(document["search"])))


def _in_words(each: Document) -> str:
    wrote = f" {', '.join(each['wrote'])}" if each["wrote"] else ""
    code = f" ({each['code']})" if each["code"] else ""
    undo = {"restored": ", and its undo restored it", "conflict": ", and its undo left it so"}
    after = undo.get(each["undo"] or "", "")
    waits = f"; waits for {each['waiting_for']}" if each["waiting_for"] else ""
    kept = f"; kept until {moment(each['undo_until'])}" if each["undo_until"] else ""
    outcome = "only planned" if each["outcome"] == "planned" else each["outcome"]
    where = f"{each['run']} of {each['policy']}, {each['state']} {moment(each['at'])}"
    beside = f" with {each['with']}" if each["with"] else ""
    return f"{where}: {outcome.replace('_', ' ')}{beside}{wrote}{code}{after}{waits}{kept}"


def _searched(search: Document) -> str:
    runs = "run" if search["searched"] == 1 else "runs"
    parts = [f"{search['searched']:,} {runs} searched"]
    if search["oldest_searched"] is not None:
        parts[0] += f", back to r-{search['oldest_searched']}"
    if search["not_searched"]:
        parts.append(f"{search['not_searched']:,} older ones not, for --seconds were over")
    if search["destroyed"]:
        parts.append(f"{search['destroyed']:,} are past their time and can tell nothing")
    parts += search["unreadable"]
    return "; ".join(parts) + "."
