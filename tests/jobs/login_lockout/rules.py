"""Rules and events as the tests of windows write them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobs.login_lockout.events import Event
from jobs.login_lockout.windows import Decision, Evaluator, Facts, Rules

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NEVER = 10_000
MINUTE = timedelta(minutes=1)
RULES = Rules(
    failures=5,
    within=10 * MINUTE,
    ladder=[30 * MINUTE],
    remember=timedelta(days=7),
    block=timedelta(hours=24),
    spray_users=NEVER,
    spray_within=10 * MINUTE,
    wide_addresses=NEVER,
    wide_within=10 * MINUTE,
    wide_quiet=60 * MINUTE,
    victims=NEVER,
    victims_within=60 * MINUTE,
    break_glass=frozenset(),
    may_block=lambda _address, _at: None,
)


def fails(
    minutes: float, user: str | None = "ann", address: str = "203.0.113.7", tries: int = 1
) -> Event:
    return Event(NOON + minutes * MINUTE, user, address, True, tries)


def logs_in(minutes: float, user: str = "ann", address: str = "203.0.113.7") -> Event:
    return Event(NOON + minutes * MINUTE, user, address, False)


def decide(*events: Event, facts: Facts | None = None, **rules: Any) -> list[Decision]:
    evaluator = Evaluator(replace(RULES, **rules), facts or Facts())
    return [decision for event in events for decision in evaluator.add(event)]


def kinds(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [(each.kind, each.why, each.subject) for each in decisions]
