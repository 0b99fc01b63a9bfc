"""Holds, the brake, the application, runs and undos in any order, against a plain oracle."""

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.models import Policy
from tests.examples import examples
from tests.worker.scenario import TESTER, Scenario, negative_values, old, purge
from worker import braking, claims, holding
from worker.identity import DEVELOPMENT
from worker.tables import OUTCOMES, Run

pytestmark = pytest.mark.sqlite_control

USERS = ("ann", "ben", "cho")
RECORDS = 9
CUTOFF = old(2555)
OLD, YOUNG = old(3000), old(10)
Record = dict[str, Any]

records = st.integers(0, RECORDS - 1)
users = st.sampled_from(USERS)
kinds = st.sampled_from(["purge", "repair"])
of_tend = st.one_of(
    st.tuples(st.just("plan"), kinds),
    st.tuples(st.just("apply"), kinds),
    st.tuples(st.just("undo"), kinds),
    st.tuples(st.just("hold"), users),
    st.tuples(st.just("release"), users),
    st.tuples(st.just("brake"), st.booleans()),
)
of_the_application = st.one_of(
    st.tuples(st.just("age"), records, st.sampled_from([OLD, YOUNG])),
    st.tuples(st.just("sell"), records, st.integers(-2, 2)),
    st.tuples(st.just("remove"), records),
)
PLANS = [("plan", "purge"), ("plan", "repair")]


@dataclass
class Planned:
    """A run as the oracle knows it: its keys, and what it changed with the images before."""

    run: Run
    kind: str
    keys: list[int]
    before: dict[int, Record] = field(default_factory=dict)


@dataclass
class World:
    """The real shop beside a dictionary that says what it must hold."""

    shop: Scenario
    sales: dict[int, Record] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    braked: bool = False
    plans: list[Planned] = field(default_factory=list)
    applied: list[Planned] = field(default_factory=list)
    waiting: tuple[str, Planned] | None = None

    def begin(self) -> None:
        self.shop.shop.salesData.delete_many({})
        for number in range(RECORDS):
            self._put(
                {
                    "_id": number,
                    "userId": USERS[number % 3],
                    "createdAt": OLD if number % 2 else YOUNG,
                    "quantity": number - 4,
                }
            )

    def end(self) -> None:
        """Nothing stays behind for the next example, which has the same control database."""
        self.brake(False)
        for user in list(self.held):
            self.release(user)

    def plan(self, kind: str) -> None:
        if self.waiting is not None:
            return  # a plan of the same policy would wait for it
        run = self.shop.plan(POLICIES[kind])
        keys = [number for number in sorted(self.sales) if self._is_due(kind, number)]
        assert run.planned == len(keys)
        if keys:
            self.plans.append(Planned(run, kind, keys))

    def apply(self, kind: str) -> None:
        plan = next((one for one in self.plans if one.kind == kind), None)
        if plan is None or self.waiting is not None:
            return
        self.plans.remove(plan)
        self.shop.apply_later(plan.run)
        self._work("apply", plan)

    def undo(self, kind: str) -> None:
        plan = next((one for one in self.applied if one.kind == kind), None)
        if plan is None or self.waiting is not None:
            return
        self.applied.remove(plan)
        self.shop.undo_later(plan.run)
        self._work("undo", plan)

    def hold(self, user: str) -> None:
        database = self.shop.engine.database
        added = holding.add(
            database, DEVELOPMENT, user, ("userId", user), TESTER, anticipatory=False
        )
        assert holding.await_batches(self.shop.engine, added) == []
        self.held.add(user)

    def release(self, user: str) -> None:
        if user in self.held:
            holding.release(self.shop.engine.database, user, None, TESTER)
            self.held.remove(user)

    def brake(self, pulled: bool) -> None:
        database = self.shop.engine.database
        if pulled and not self.braked:
            braking.pull(database, None, TESTER, everything=False)
        if not pulled and self.braked:
            braking.release(database, None, TESTER, everything=False)
        self.braked = pulled
        if not pulled and self.waiting is not None:
            (what, plan), self.waiting = self.waiting, None
            self._work(what, plan)

    def age(self, number: int, moment: datetime) -> None:
        self._edit(number, "createdAt", moment)

    def sell(self, number: int, quantity: int) -> None:
        self._edit(number, "quantity", quantity)

    def remove(self, number: int) -> None:
        self.shop.shop.salesData.delete_one({"_id": number})
        self.sales.pop(number, None)

    def check(self) -> None:
        assert {one["_id"]: one for one in self.shop.shop.salesData.find()} == self.sales

    def _work(self, what: str, plan: Planned) -> None:
        run = self.shop.work_off(plan.run.id)
        if self.braked:
            assert run.state == {"apply": "applying", "undo": "undoing"}[what]
            self.waiting = (what, plan)
            return
        if what == "apply":
            assert run.state == "succeeded"
            assert self._counts(run, "apply") == self._applied(plan)
            self.applied.append(plan)
        else:
            assert run.state == "undone"
            assert self._counts(run, "undo") == self._undone(plan)

    def _counts(self, run: Run, direction: str) -> dict[str, int]:
        with self.shop.engine.database.transaction() as session:
            totals = claims.totals(session, run.id, direction)
        return dict(zip(OUTCOMES, totals.counts, strict=True))

    def _applied(self, plan: Planned) -> dict[str, int]:
        counts = dict.fromkeys(OUTCOMES, 0)
        for number in plan.keys:
            if number not in self.sales:
                counts["gone"] += 1
            elif not self._matches(plan.kind, number):
                counts["changed_since"] += 1
            elif self.sales[number]["userId"] in self.held:
                counts["held"] += 1
            else:
                counts["changed"] += 1
                plan.before[number] = deepcopy(self.sales[number])
                self._change(plan.kind, number)
        assert sum(counts.values()) == plan.run.planned
        return counts

    def _undone(self, plan: Planned) -> dict[str, int]:
        counts = dict.fromkeys(OUTCOMES, 0)
        for number, before in plan.before.items():
            if self._can_return(plan.kind, number):
                self.sales.setdefault(number, before)["quantity"] = before["quantity"]
                counts["changed"] += 1
            else:
                counts["changed_since"] += 1
        return counts

    def _can_return(self, kind: str, number: int) -> bool:
        if kind == "purge":
            return number not in self.sales
        present = self.sales.get(number)
        return (
            present is not None and present["quantity"] == 0 and present["userId"] not in self.held
        )

    def _is_due(self, kind: str, number: int) -> bool:
        return self._matches(kind, number) and self.sales[number]["userId"] not in self.held

    def _matches(self, kind: str, number: int) -> bool:
        record = self.sales[number]
        due: bool = record["createdAt"] < CUTOFF if kind == "purge" else record["quantity"] < 0
        return due

    def _change(self, kind: str, number: int) -> None:
        if kind == "purge":
            del self.sales[number]
        else:
            self.sales[number]["quantity"] = 0

    def _edit(self, number: int, name: str, value: Any) -> None:
        self.shop.shop.salesData.update_one({"_id": number}, {"$set": {name: value}})
        if number in self.sales:
            self.sales[number][name] = value

    def _put(self, record: Record) -> None:
        self.shop.shop.salesData.insert_one(dict(record))
        self.sales[record["_id"]] = record


POLICIES: dict[str, Policy] = {
    "purge": purge(name="a-purge", chunk=4, batch={"records": 2}),
    "repair": negative_values(name="a-repair", chunk=4, batch={"records": 2}),
}


@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(of_tend | of_tend | of_the_application, min_size=4, max_size=16))
def test_no_held_record_changes_no_undo_overwrites_and_counts_add_up(
    scenario: Scenario, asked: list[tuple[Any, ...]]
) -> None:
    world = World(scenario)
    world.begin()
    try:
        for name, *arguments in [*PLANS, *asked]:
            getattr(world, name)(*arguments)
            world.check()
    finally:
        world.end()
    world.check()
