"""Exceptions and decisions of a period, in a document that is never whole in memory."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from worker.audit.entries import stamp
from worker.evidence import log
from worker.evidence.facts import DECISIONS, EXCEPTIONS, Facts, event

_ACTIONS: Mapping[str, tuple[str, ...]] = {**EXCEPTIONS, **DECISIONS}


class Period(Protocol):
    """Which entries: `since` is part of the time, `until` is not."""

    @property
    def since(self) -> datetime: ...

    @property
    def until(self) -> datetime: ...

    @property
    def policy(self) -> str | None: ...


def document(session: Session, period: Period, positions: range, facts: Facts) -> Iterator[bytes]:
    """JSON: by kind a list of its entries, in order, and `claimed_actors`."""
    yield b'{"claimed_actors": ' + json.dumps(facts.claimed, ensure_ascii=False).encode()
    for kind in _ACTIONS:
        yield f',\n"{kind}": ['.encode()
        separator = b"\n"
        found = _events(session, period, positions, kind) if facts.number[kind] else ()
        for line in found:
            yield separator + line
            separator = b",\n"
        yield b"]"
    yield b"}\n"


def _events(session: Session, period: Period, positions: range, kind: str) -> Iterator[bytes]:
    since, until = stamp(period.since), stamp(period.until)
    for _, raw in log.entries(session, positions, period.policy, _ACTIONS[kind]):
        body = json.loads(raw)
        if since <= body["at"] < until:
            yield json.dumps(event(body), ensure_ascii=False, sort_keys=True).encode()
