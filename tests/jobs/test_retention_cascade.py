"""Accounts that go with what belongs to them: how a sign of life is read, and what may be said."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.base import Delete, Fail, Keep, Newest, Relation
from jobs.retention_cascade.life import NO_SIGN, judge, latest, signs_elsewhere
from jobs.retention_cascade.options import CascadeOptions, Inactive
from policies.selectors import Selector
from tests.jobs.damage import DUE, Damage, Records
from tests.jobs.policy_of import policy_of
from tests.worker.accounts import INDEXES, LATELY, LONG_AGO
from tests.worker.scenario import NOW, old
from worker.registry import jobs

JOB = jobs()["retention_cascade"]
CHILDREN = [{"collection": "sessions", "key": "userId"}]
INACTIVE = Inactive.model_validate(
    {"age": "2y", "signs": [{"field": "lastLogin"}, {"field": "last.import"}]}
)
UNREADABLE = Fail("activity_unreadable")


def _children(moment: datetime, owners: list[str]) -> dict[str, Records]:
    """Two records of each account in each collection."""
    dated = {"syncState": {"lastSyncedAt": moment}, "lastActivity": moment, "createdAt": moment}
    return {name: [{"userId": owner, **dated} for owner in [*owners, *owners]] for name in INDEXES}


DAMAGE: dict[str, Damage] = {
    "inactive-accounts": Damage(
        [{"_id": f"gone {number}", "lastLogin": LONG_AGO} for number in range(DUE)],
        [{"_id": f"kept {number}", "lastLogin": LATELY} for number in range(DUE)],
        _children(LONG_AGO, [f"gone {number}" for number in range(4)]),
        INDEXES,
    ),
    "deleted-accounts": Damage(
        [{"_id": f"gone {number}", "deletedAt": old(30.1)} for number in range(DUE)],
        [{"_id": f"kept {number}", "deletedAt": old(30)} for number in range(DUE)],
        _children(NOW, [f"gone {number}" for number in range(4)]),
        INDEXES,
    ),
}


@pytest.mark.parametrize(
    ("record", "change"),
    [
        ({"lastLogin": LONG_AGO}, Delete()),
        ({"lastLogin": LATELY}, Keep()),
        ({"lastLogin": LONG_AGO, "last": {"import": LATELY}}, Keep()),
        ({"lastLogin": LONG_AGO, "last": {"import": "2026-01-01"}}, UNREADABLE),
        ({"lastLogin": LONG_AGO, "last": "never"}, Delete()),
        ({"lastLogin": 1_700_000_000}, UNREADABLE),
        ({"lastLogin": None, "createdAt": LONG_AGO}, Delete()),
        ({"createdAt": LATELY}, Keep()),
        ({"createdAt": "2010-01-01"}, UNREADABLE),
        ({}, Keep()),
    ],
)
def test_an_account_is_judged_by_its_newest_sign(record: dict[str, Any], change: Any) -> None:
    assert judge("a key", record, INACTIVE, NO_SIGN, NOW).change == change


def test_a_key_says_when_an_account_without_signs_was_created() -> None:
    aged, young = (ObjectId.from_datetime(moment) for moment in (LONG_AGO, LATELY))
    assert judge(aged, {}, INACTIVE, NO_SIGN, NOW).change == Delete()
    assert judge(young, {}, INACTIVE, NO_SIGN, NOW).change == Keep()
    assert judge(aged, {"createdAt": LATELY}, INACTIVE, NO_SIGN, NOW).change == Keep()
    assert judge(young, {}, INACTIVE, Newest(LONG_AGO, is_certain=True), NOW).change == Delete()


def test_an_account_whose_signs_are_deleted_already_is_not_asked_for_its_creation() -> None:
    record = {"createdAt": LATELY}
    assert judge("a key", record, INACTIVE, NO_SIGN, NOW, begun=True).change == Delete()
    signed = Newest(LATELY, is_certain=True)
    assert judge("a key", record, INACTIVE, signed, NOW, begun=True).change == Keep()


moments = st.integers(-40, 40).map(lambda days: old(731 + days))
signs = st.builds(Newest, st.none() | moments, st.booleans())


@settings(deadline=None)  # a shared machine has slow moments
@given(st.lists(signs, max_size=5), moments)
def test_nobody_goes_with_a_young_or_an_unreadable_sign(
    elsewhere: list[Newest], created: datetime
) -> None:
    cutoff = INACTIVE.age.before(NOW)
    verdict = judge("a key", {"createdAt": created}, INACTIVE, latest(elsewhere), NOW)
    dated = [sign.moment for sign in elsewhere if sign.moment is not None]
    is_certain = all(sign.is_certain for sign in elsewhere)
    newest = max(dated, default=created if is_certain else None)
    expected: Delete | Fail | Keep = Delete() if is_certain else UNREADABLE
    assert verdict.change == (Keep() if newest is not None and newest >= cutoff else expected)


def test_who_lives_by_one_collection_is_asked_for_in_no_other() -> None:
    asked: list[tuple[str, list[str]]] = []

    class Answers:
        def check_related(self, relations: Sequence[Relation]) -> None: ...

        def match(
            self, relation: Relation, keys: Sequence[Any], selector: Selector
        ) -> Sequence[bool]:
            raise AssertionError((relation, keys, selector))

        def newest(self, relation: Relation, keys: Sequence[Any]) -> Sequence[Newest]:
            asked.append((relation.collection, list(keys)))
            moment = LATELY if relation.collection == "sessions" else LONG_AGO
            return [Newest(moment if key == "alive" else None, is_certain=True) for key in keys]

    relations = [Relation(name, "userId", "at") for name in ("sessions", "salesData")]
    found = signs_elsewhere(Answers(), relations, ["alive", "dead"], NOW - timedelta(days=731))
    assert [sign.moment for sign in found] == [LATELY, None]
    assert asked == [("sessions", ["alive", "dead"]), ("salesData", ["dead"])]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "say which accounts go: select, inactive, or both"),
        (
            {"inactive": {"age": "2y", "signs": [{"field": "at", "collection": "a", "key": "k"}]}},
            "one of the signs is a date of the account itself",
        ),
        (
            {"inactive": {"age": "2y", "signs": [{"field": "at", "collection": "a"}]}},
            "has both collection and key",
        ),
        (
            {
                "inactive": {"age": "2y", "signs": [{"field": "at"}]},
                "warnings": [{"when": {"missing": {"field": "at"}}, "say": "never"}],
            },
            "warnings count what a selector finds",
        ),
        (
            {"select": {"missing": {"field": "at"}}, "children": CHILDREN * 2},
            "each named once",
        ),
        (
            {
                "select": {"missing": {"field": "at"}},
                "children": [{"collection": "things", "key": "parent"}],
            },
            "other collections than the account's",
        ),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CascadeOptions.model_validate({"collection": "things", "children": CHILDREN, **options})


def test_the_selector_of_inactive_accounts_is_not_all_there_is_to_say() -> None:
    chosen = {"select": {"missing": {"field": "plan"}}, "children": CHILDREN}
    by_selector = policy_of("retention_cascade", **chosen)
    inactive = policy_of("retention_cascade", **chosen, inactive=INACTIVE.model_dump(mode="json"))
    assert JOB.is_said_by_selector(by_selector)
    assert not JOB.is_said_by_selector(inactive)
    assert JOB.fields(inactive) == ("plan", "lastLogin", "last.import", "createdAt")
