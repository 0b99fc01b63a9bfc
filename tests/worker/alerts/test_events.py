"""The table of events: documented as it is, and the only source of what is raised."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from policies.thresholds import Thresholds
from worker.alerts.events import EVENTS, RESPONSE, Severity

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "alerts.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \| (P\d) \| ([^|]*?) \|", PAGE, re.MULTILINE)


def raised() -> Iterator[str]:
    """The first argument of every `Alert(…)` in the code, where it is written out."""
    for path in [*(ROOT / "worker").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Alert":
                first = next((each.value for each in node.keywords if each.arg == "event"), None)
                first = node.args[0] if node.args else first
                if isinstance(first, ast.Constant):
                    yield str(first.value)


def test_the_page_has_the_table_as_it_is() -> None:
    known = [(name, event.severity, event.title) for name, event in EVENTS.items()]
    assert sorted(ROWS) == sorted(known)


def test_the_page_has_the_response_times() -> None:
    for severity in Severity:
        hours = int(RESPONSE[severity].total_seconds() // 3600)
        assert re.search(rf"^\| {severity} \| {hours} h \|", PAGE, re.MULTILINE)


def test_the_page_has_the_thresholds_and_their_defaults() -> None:
    table = PAGE.partition("\n## From when on\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*`) \| ([^|`]*) \|", table, re.MULTILINE)
    said: dict[str, str] = {}
    for keys, values in rows:
        names = re.findall(r"`([\w.]+)`", keys)
        shown = values.split(", ") * (len(names) if "," not in values else 1)
        said |= dict(zip(names, shown, strict=True))
    assert said == dict(_flat(Thresholds()))


def _flat(model: BaseModel, inside: str = "") -> Iterator[tuple[str, str]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{name}.")
        else:
            yield inside + name, f"{value:g}" if inside and isinstance(value, float) else str(value)


def test_whatever_is_raised_stands_in_the_table() -> None:
    assert set(raised()) <= set(EVENTS)


def test_a_locks_failure_and_an_altered_log_and_no_scheduler_are_worst() -> None:
    worst = {name for name, event in EVENTS.items() if event.severity == Severity.P0}
    assert worst == {"audit_integrity", "protection_failed", "scheduler_missing"}
