"""The metrics' page, dashboard and rules name what processes export, and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from jobs.pos_sync import signals
from policies.durations import Age
from tests.docs.pages import PAGES, ROOT
from worker import advance
from worker.alerts.events import RESPONSE, Severity
from worker.metrics.catalog import CATALOG

PAGE = PAGES["docs/metrics.md"]
DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
RULES = yaml.safe_load((ROOT / "docs" / "prometheus-rules.yml").read_text())
OF_FAMILIES = {
    signals.STORES: ({"provider", "condition"}, signals.SAYS),
    signals.BREAKERS: ({"state"}, signals.BREAKERS_SAY),
}
EXPORTED = {*CATALOG, *OF_FAMILIES}
"""`tests/worker/metrics/test_facts.py` shows that each of them is."""
METRIC = re.compile(r"\btend_[a-z_]+\b")


def rules() -> Iterator[dict[str, Any]]:
    for group in RULES["groups"]:
        assert set(group) == {"name", "rules"}
        yield from group["rules"]


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (rule["expr"] for rule in rules())


def labels_of(name: str) -> set[str]:
    return set(CATALOG[name].labels) if name in CATALOG else OF_FAMILIES[name][0]


def test_the_page_lists_every_metric_with_its_labels_as_it_is() -> None:
    rows = re.findall(r"^\| `(tend_\w+)` \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)
    said = {name: (set(re.findall(r"`(\w+)`", labels)), says) for name, labels, says in rows}
    known = {name: (set(metric.labels), metric.says) for name, metric in CATALOG.items()}
    assert said == {**known, **OF_FAMILIES}


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_dashboard_and_rules_ask_for_what_is_exported(expression: str) -> None:
    named = set(METRIC.findall(expression))
    assert named
    assert named <= EXPORTED
    grouped = {
        label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")
    }
    matched = set(re.findall(r"(\w+)=~?\"", expression))
    assert grouped | matched <= set().union(*map(labels_of, named))
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_the_dashboard_shows_every_metric_but_those_that_describe_others() -> None:
    shown = {name for text in expressions() for name in METRIC.findall(text)}
    beside = {
        *("tend_last_seen_seconds", "tend_overdue_counted_timestamp_seconds"),
        *("tend_policy_enabled", "tend_scrape_seconds"),
    }
    assert EXPORTED - shown == beside


def test_panels_have_places_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: str(rule["alert"]))
def test_a_rule_has_what_prometheus_needs(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"[A-Za-z]\w*", rule["alert"])
    assert Severity(rule["labels"]["severity"]) in RESPONSE
    assert set(rule["annotations"]) == {"summary", "description"}
    amount, unit = re.fullmatch(r"(\d+)([smhd])", rule["for"]).groups()  # type: ignore[union-attr]
    assert Age(int(amount), unit).delta.total_seconds() > 0


def test_the_page_has_the_operations_that_statsd_gets() -> None:
    said = set(re.findall(r"`operation\.(\w+)\.(?:duration|count)`", PAGE))
    assert said == set(advance.OPERATIONS.values())
