"""What a store that fails may take from those that are well, and that it is brought back."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest

from jobs.base import Item, Outcomes
from jobs.pos_sync import syncing
from jobs.pos_sync.announcing import announce
from jobs.pos_sync.attempt import Ended, attend
from jobs.pos_sync.breaker import Verdict
from jobs.pos_sync.condition import Condition
from jobs.pos_sync.failures import Kind
from jobs.pos_sync.options import PosOptions
from jobs.pos_sync.register import SOONEST, due
from jobs.pos_sync.syncing import AT_ONCE, PosSync, manners, perform_all, perform_one
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.task import PerformContext
from policies.models import Policy
from tests.faults.processes import eventually
from tests.jobs.pos_sync.desk import Desk
from tests.jobs.pos_sync.provider import Answer, Asked, said

BUSY = Answer(503, b"<html>")
Mode = Literal["scheduled", "recovery"]


def good(asked: Asked) -> Answer:
    if asked.path == "/status":
        return said({"status": "ok"})
    row = {"id": "p1", "name": "Tent", "updated_at": "2026-11-20T10:00:00Z"}
    return said({"products": [row], "next_cursor": None})


def busy(_asked: Asked) -> Answer:
    return BUSY


def tools_in(desk: Desk, mode: Mode) -> Tools:
    return replace(desk.tools, **manners(PosOptions(stores_in=("sql",), mode=mode)))


def hand_over(desk: Desk, store: str) -> None:
    """It fails at its time."""
    desk.provider.route = busy
    assert attend(tools_in(desk, "scheduled"), store).ended == Ended.FAILED


def due_keys(desk: Desk, now: datetime, *, failed: bool) -> list[str]:
    with desk.book.transaction() as session:
        return [row.key for row in due(session, now, failed=failed)]


def test_a_store_that_fails_at_its_time_is_asked_once_and_left_to_the_recovery(desk: Desk) -> None:
    store = desk.open("rest")
    hand_over(desk, store)
    assert len(desk.provider.asked) == 1
    row = desk.row(store)
    assert (row.condition, row.error, row.failures) == ("degraded", Kind.SERVER_ERROR, 0)
    assert desk.shop.told() == ("degraded", False)
    assert row.next_at is not None
    assert desk.now <= row.next_at <= desk.now + SOONEST
    assert due_keys(desk, desk.now + SOONEST, failed=False) == []
    assert due_keys(desk, desk.now + SOONEST, failed=True) == [store]


def test_what_is_well_at_the_second_try_was_no_incident(desk: Desk) -> None:
    store = desk.open("rest")
    hand_over(desk, store)
    announce(desk.book, desk.now)
    desk.provider.route = good
    assert attend(tools_in(desk, "recovery"), store).ended == Ended.SYNCED
    announce(desk.book, desk.now)
    assert desk.book.raised == []
    assert (desk.row(store).condition, desk.row(store).error) == (Condition.HEALTHY, None)


def test_what_fails_at_the_second_try_is_an_incident_and_the_first_failure_in_a_row(
    desk: Desk,
) -> None:
    store = desk.open("rest")
    hand_over(desk, store)
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    attend(tools_in(desk, "recovery"), store)
    announce(desk.book, desk.now)
    assert (desk.row(store).condition, desk.row(store).failures) == ("degraded", 1)
    assert [alert.event for alert in desk.book.raised] == ["service_failing"]


def test_the_breaker_counts_no_failure_that_is_only_left_to_the_recovery(desk: Desk) -> None:
    store = desk.open("rest")
    for _ in range(6):
        hand_over(desk, store)
        desk.provider.route = good
        attend(tools_in(desk, "recovery"), store)
    assert desk.tools.breaker.look(store).verdict == Verdict.GO


def test_what_cannot_pass_by_itself_is_said_at_once(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: Answer(403)
    attend(tools_in(desk, "scheduled"), store)
    assert (desk.row(store).condition, desk.row(store).failures) == (Condition.NEEDS_PERSON, 1)


def test_at_its_time_no_store_waits_through_a_long_pause(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = good
    tools = tools_in(desk, "scheduled")
    tools.limits.pause(store, 600)
    attend(tools, store)
    row = desk.row(store)
    assert desk.provider.asked == []
    assert (row.error, row.failures) == (Kind.THROTTLED, 0)
    assert row.next_at is not None
    assert row.next_at > desk.now + timedelta(minutes=9)


def test_the_recovery_asks_again_in_place(desk: Desk) -> None:
    store = desk.open("rest")
    hand_over(desk, store)
    desk.provider.asked.clear()
    desk.provider.script.append(BUSY)
    desk.provider.route = good
    assert attend(tools_in(desk, "recovery"), store).ended == Ended.SYNCED
    assert len(desk.provider.asked) == 2


def test_while_fifteen_stores_hang_the_sixteenth_of_their_batch_is_synced(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, AT_ONCE + 1)]
    *hanging, well = stores
    lock, arrived, released = threading.Lock(), [0], threading.Event()

    def route(asked: Asked) -> Answer:
        """Whoever comes first hangs, until only one is left."""
        with lock:
            arrived[0] += 1
            is_last = arrived[0] == len(stores)
        if is_last:
            return good(asked)
        released.wait(120)
        return BUSY

    desk.provider.route = route
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(perform_all, tools_in(desk, "scheduled"), stores, desk.now)
        try:
            eventually(lambda: next((one for one in stores if desk.row(one).data_as_of), None))
            assert not batch.done()
        finally:
            released.set()
        assert batch.result(120) == Outcomes(changed=len(stores))
    conditions = [desk.row(store).condition for store in (*hanging, well)]
    assert sorted(conditions) == ["degraded"] * len(hanging) + ["healthy"]


def test_an_attempt_that_failed_rests_and_no_other(desk: Desk) -> None:
    failing, well = desk.open("rest", key="sql/1"), desk.open("rest", key="sql/2")
    rested: list[str] = []
    for store, route in ((failing, lambda _asked: Answer(404, b"{}")), (well, good)):
        desk.provider.route = route
        tools = replace(desk.tools, rest=lambda: rested.append("rest"))
        perform_one(tools, store, desk.now)
    assert len(rested) == 1
    waits = replace(desk.tools, rest=lambda: rested.append("rest"))
    permission = waits.breaker.acquire(failing)
    for _ in range(5):
        waits.breaker.record(failing, permission.generation, good=False)
    with desk.book.transaction() as session:
        session.get_one(PosStore, failing).next_at = None
    assert perform_one(waits, failing, desk.now) == Outcomes(changed_since=1)
    assert len(rested) == 1


def test_of_those_that_failed_one_rests_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rested: list[tuple[float, bool]] = []

    def sleep(seconds: float) -> None:
        rested.append((seconds, syncing._resting.locked()))  # noqa: SLF001 - who sleeps has the turn

    monkeypatch.setattr(syncing, "time", SimpleNamespace(sleep=sleep))
    tools_in(desk, "recovery").rest()
    assert rested == [(syncing.REST_SECONDS, True)]
    tools_in(desk, "scheduled").rest()
    assert len(rested) == 1


def test_who_has_waited_longest_is_brought_back_first(desk: Desk) -> None:
    for number, minutes in ((1, 5), (2, 50), (3, 20)):
        store = desk.open("rest", key=f"sql/{number}")
        with desk.book.transaction() as session:
            row = session.get_one(PosStore, store)
            row.condition, row.next_at = "offline", desk.now - timedelta(minutes=minutes)
    assert due_keys(desk, desk.now, failed=True) == ["sql/2", "sql/3", "sql/1"]


@dataclass
class Context:
    """What the engine lends."""

    desk: Desk
    as_of: datetime

    def __post_init__(self) -> None:
        self.state, self.vault, self.redis = self.desk.book, self.desk.vault, self.desk.client
        self.sql = cast(Any, self.desk.shop).writing


def run(desk: Desk, mode: Mode, now: datetime) -> Outcomes:
    """One look of a policy, batch by batch."""
    options = {"mode": mode, "stores_in": ["sql"], "private_hosts": [desk.provider.place]}
    policy = Policy.model_validate(
        {
            "name": "pos-sync",
            "job": "pos_sync",
            "description": "Some stores.",
            "options": PosOptions.model_validate(options),
            "guards": {"max_records": 100, "max_percent": 100},
            "undo": "none",
        }
    )
    context = cast(PerformContext, Context(desk, now))
    items = [Item(key, {}) for key in due_keys(desk, now, failed=mode == "recovery")]
    batches = (items[first : first + 2] for first in range(0, len(items), 2))
    return sum((PosSync().perform(context, policy, each) for each in batches), start=Outcomes())


def conditions(desk: Desk) -> Iterator[str]:
    with desk.book.transaction() as session:
        yield from (row.condition for row in session.query(PosStore).order_by(PosStore.key))


def test_a_look_asks_each_once_and_the_next_ones_bring_every_store_back(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 6)]
    desk.provider.script.extend([BUSY, BUSY, BUSY])
    desk.provider.route = good
    assert run(desk, "scheduled", desk.now).changed == 5
    assert len(desk.provider.asked) == 5
    assert sorted(conditions(desk)) == ["degraded"] * 3 + ["healthy"] * 2
    desk.provider.script.append(Answer(404, b"{}"))
    later = max(desk.row(store).next_at or desk.now for store in stores)
    assert run(desk, "recovery", later).total == 3
    assert sorted(conditions(desk)) == ["degraded"] + ["healthy"] * 4
    later = max(desk.row(store).next_at or desk.now for store in stores)
    assert run(desk, "recovery", later).changed == 1
    assert list(conditions(desk)) == ["healthy"] * 5
