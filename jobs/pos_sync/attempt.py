"""One attempt at one store, from the breaker to what its row says afterwards."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from jobs.pos_sync import keeping
from jobs.pos_sync.breaker import Permission, Verdict
from jobs.pos_sync.condition import Condition
from jobs.pos_sync.connectors import CONNECTORS, ORDERS
from jobs.pos_sync.connectors.base import Connector
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.keeping import Held
from jobs.pos_sync.passes import Overtaken, moment_text
from jobs.pos_sync.register import (
    Step,
    hand_over,
    next_scheduled,
    settle_failure,
    settle_success,
    write_steps,
)
from jobs.pos_sync.sales import Orders, Sales
from jobs.pos_sync.sync import Order, Synced, sync, sync_sales
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.pos_sync.transport import ATTEMPTS, Http, Rules

Answer = TypeVar("Answer")


LONGEST_TURN = 60.0
"""So many seconds an impatient attempt waits for its turn: Amazon's slowest limit is a minute."""


class Ended(StrEnum):
    """What came of an attempt."""

    SYNCED = "synced"
    FAILED = "failed"
    WAITS = "waits"
    """The breaker is open, or another worker probes or syncs."""


@dataclass(frozen=True)
class Result:
    """What came of it, and why if it is no sync."""

    ended: Ended
    synced: Synced | None = None
    failed: SyncFailed | None = None


def attend(tools: Tools, store: str, *, approved: str | None = None) -> Result:
    """Sync the store if its breaker lets it; recover it first if it is in error or offline."""
    permission = tools.breaker.acquire(store)
    if permission.verdict in (Verdict.OPEN, Verdict.PROBING):
        return Result(Ended.WAITS)
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        session.expunge(row)
    if permission.verdict is Verdict.PROBE:
        probed = _permitted(tools, row, permission, only_checks=True, approved=None)
        if probed.ended is not Ended.SYNCED:
            return probed
        permission = tools.breaker.acquire(store)
    return _permitted(tools, row, permission, only_checks=False, approved=approved)


def check(tools: Tools, store: str) -> SyncFailed | None:
    """Credentials and connection alone, whatever the breaker says; what is wrong, if anything."""
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        session.expunge(row)
    attempt = _Attempt(tools, row)
    found: SyncFailed | None = None
    try:
        attempt.verify()
    except SyncFailed as failed:
        found = failed
    with tools.state.transaction() as session:
        write_steps(session, store, attempt.steps, tools.clock())
    return found


def _permitted(
    tools: Tools, row: PosStore, permission: Permission, *, only_checks: bool, approved: str | None
) -> Result:
    attempt = _Attempt(tools, row)
    try:
        synced = None
        if only_checks:
            attempt.verify()  # credentials and connection, never a full sync
        else:
            synced = attempt.run(approved)
    except Overtaken:
        return Result(Ended.WAITS)
    except SyncFailed as failed:
        is_handed_over = not only_checks and attempt.hands_over(failed)
        if failed.kind is not Kind.LIMIT_UNKNOWN and not is_handed_over:
            counts = failed.handling.counts
            tools.breaker.record(row.key, permission.generation, good=not counts)
        _settle(tools, row.key, attempt, failed=failed, is_handed_over=is_handed_over)
        return Result(Ended.FAILED, failed=failed)
    tools.breaker.record(row.key, permission.generation, good=True)
    if synced is not None:
        _settle(tools, row.key, attempt, synced=synced)
    return Result(Ended.SYNCED, synced)


def _settle(
    tools: Tools,
    store: str,
    attempt: "_Attempt",
    *,
    synced: Synced | None = None,
    failed: SyncFailed | None = None,
    is_handed_over: bool = False,
) -> None:
    """What the row says afterwards, and then what the application reads in its own."""
    now = attempt.now
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store, with_for_update=True)
        before, data_as_of = row.condition, row.data_as_of
        if synced is not None:
            settle_success(row, synced, now)
        elif failed is not None and is_handed_over:
            hand_over(row, failed, now)
        elif failed is not None:
            settle_failure(row, failed, now, attempt.diff)
        if (row.condition, row.data_as_of) != (before, data_as_of):
            row.untold = True
        is_owed = row.untold
        write_steps(session, store, attempt.steps, now)
        if row.condition != before or attempt.is_recovery:
            tools.state.record(session, "pos_attempt", attempt.told(before, row))
    if is_owed:
        tell(tools, store)


def tell(tools: Tools, store: str) -> None:
    """Write into the application's own row how the store is; until that is done it is owed."""
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        said = row.condition, row.data_as_of
    condition, as_of = said
    text = None if as_of is None else moment_text(as_of)
    tools.catalog_of(store).tell(store, condition, text)
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store, with_for_update=True)
        row.untold = (row.condition, row.data_as_of) != said


@dataclass
class _Attempt:
    """The steps of an attempt, each written down with what came of it."""

    tools: Tools
    row: PosStore
    steps: list[Step] = field(default_factory=list)
    diff: str | None = None

    def __post_init__(self) -> None:
        self.now: datetime = self.tools.clock()
        self.connector: Connector = CONNECTORS[self.row.provider]

    def run(self, approved: str | None) -> Synced:
        """A store in error or offline gets a fresh connection and is asked small things first."""
        if self.is_recovery:
            self._noted("reset connection", lambda: self._connected(lambda _http: None))
            self.verify()
        try:
            synced = self._noted("sync", lambda: self._sync(approved))
        except SyncFailed as failed:
            raise self._named(failed) from failed
        sales, orders = self.tools.sales_of(self.row.key), ORDERS.get(self.row.provider)
        if sales is None or orders is None or not sales.has_owner(self.row.key):
            return synced
        return replace(synced, sales=self._noted("orders", lambda: self._orders(sales, orders)))

    def _named(self, failed: SyncFailed) -> SyncFailed:
        """A refused read says nothing of the scope that is missing; the small questions do."""
        if failed.kind is not Kind.FORBIDDEN:
            return failed
        try:
            self.verify()
        except SyncFailed as found:
            return found if found.kind is Kind.FORBIDDEN else failed
        return failed

    @property
    def is_recovery(self) -> bool:
        return self.row.condition in (Condition.ERROR, Condition.OFFLINE)

    def hands_over(self, failed: SyncFailed) -> bool:
        """Whether it is left to the patient to try again: then it is no failure yet."""
        if self.tools.is_patient or self.row.condition != Condition.HEALTHY:
            return False
        return failed.handling.action in ("retry", "pause")

    def told(self, before: str, row: PosStore) -> dict[str, Any]:
        """The detail of its entry: each step with its outcome, and what came of them."""
        steps = [f"{one.step}: {one.outcome}" for one in self.steps]
        return {"store": row.key, "from": before, "to": row.condition, "steps": steps}

    def verify(self) -> None:
        """Ask for as little as shows that the credentials and the connection are good."""
        found = self._noted("verify credentials", self._usable)
        self._noted("test connection", lambda: self._asked(found, self.connector.check))

    def _sync(self, approved: str | None) -> Synced:
        order = self._order(approved)
        catalog = self.tools.catalog_of(self.row.key)

        def synced(http: Http, found: Credentials) -> Synced:
            return sync(catalog, self.connector, http, found, order)

        try:
            return self._asked(self._usable(), synced)
        except SyncFailed as failed:
            if failed.kind is Kind.SHRUNK:
                at = catalog.standing(self.row.key)
                self.diff = catalog.vanishing(self.row.key, at).digest if at else None
            raise

    def _orders(self, sales: Sales, orders: Orders) -> int:
        order = self._order(None)

        def read(http: Http, found: Credentials) -> int:
            return sync_sales(sales, orders, http, found, order)

        return self._asked(self._usable(), read)

    def _order(self, approved: str | None) -> Order:
        tools = self.tools
        return Order(self.row.key, self.now, tools.whole_every, tools.sales_back, approved)

    def _usable(self) -> Held:
        """The credentials, refreshed if they end within the minute."""
        found = keeping.held(self.tools, self.row.key)
        for name in self.connector.needs:
            found.credentials.need(name)
        if keeping.needs_refresh(self.tools, found.credentials):
            return self._refreshed(found)
        return found

    def _asked(self, found: Held, ask: Callable[[Http, Credentials], Answer]) -> Answer:
        """A refused token is refreshed once; if the new one is refused too, a person is needed."""
        try:
            return self._connected(lambda http: ask(http, found.credentials))
        except SyncFailed as failed:
            if failed.kind is not Kind.UNAUTHORIZED or found.credentials.refresh_token is None:
                raise
        fresh = self._noted("refresh token", lambda: self._refreshed(found))
        return self._connected(lambda http: ask(http, fresh.credentials))

    def _refreshed(self, found: Held) -> Held:
        place = self.connector.token_address(self._address)
        with self._http(place) as http:
            return keeping.refreshed(self.tools, self.row.key, self.connector, found, http)

    def _connected(self, use: Callable[[Http], Answer]) -> Answer:
        with ExitStack() as stack:
            return use(stack.enter_context(self._http(self._address)))

    def _http(self, address: str) -> Http:
        rules = Rules(
            provider=self.row.provider,
            account=self.row.key,
            pace=self.connector.pace,
            clock=self.tools.clock,
            until=next_scheduled(self.row, self.now),
            private=self.tools.private,
            total_seconds=self.tools.total_seconds,
            attempts=ATTEMPTS if self.tools.is_patient else 1,
            longest_turn=None if self.tools.is_patient else LONGEST_TURN,
        )
        return Http(address, rules, self.tools.limits, self.connector.observe)

    @property
    def _address(self) -> str:
        return self.connector.address(self.row.address, self.tools.private)

    def _noted(self, step: str, do: Callable[[], Answer]) -> Answer:
        try:
            answer = do()
        except SyncFailed as failed:
            self.steps.append(Step(step, failed.kind))
            raise
        self.steps.append(Step(step, "ok"))
        return answer
