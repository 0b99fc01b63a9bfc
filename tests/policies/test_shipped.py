"""What the shipped policies say, in the figures the owner was told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.models import RecordOptions, SelectOptions
from policies.selectors import cutoffs
from tests.policies.written import load_all
from worker.registry import every_job, job_of

LOADED = load_all(Path(__file__).parents[2] / "policies")
NOW = datetime(2026, 2, 28, 3, 20, tzinfo=UTC)
CUTOFFS = {
    "sales-retention": {"createdAt": datetime(2019, 3, 2, 3, 20, tzinfo=UTC)},
    "audit-log-retention": {"timestamp": datetime(2019, 2, 28, 3, 20, tzinfo=UTC)},
    "oauth-state-cleanup": {"timestamp": datetime(2026, 2, 28, 3, 10, tzinfo=UTC)},
    "session-cleanup": {"expiresAt": NOW},
    "negative-sales-values": {},
    "text-dates": {},
    "unreadable-sales-values": {},
    "sales-quarantine-retention": {"until": NOW},
    "orphaned-sales": {"createdAt": NOW - timedelta(hours=1), "_id": NOW - timedelta(hours=1)},
    "orphaned-forecasts": {"createdAt": NOW - timedelta(hours=1), "_id": NOW - timedelta(hours=1)},
    "orphaned-sessions": {
        "lastActivity": NOW - timedelta(hours=1),
        "_id": NOW - timedelta(hours=1),
    },
    "orphaned-products": {"updated_at": NOW - timedelta(hours=24)},
    "own-runs": {"created_at": datetime(2025, 1, 24, 3, 20, tzinfo=UTC)},
    "own-doorbells": {"due_at": datetime(2026, 1, 29, 3, 20, tzinfo=UTC)},
    "own-alerts": {"settled_at": datetime(2025, 1, 24, 3, 20, tzinfo=UTC)},
    "own-notices": {"at": datetime(2025, 1, 24, 3, 20, tzinfo=UTC)},
    "negative-stock": {},
    "negative-prices": {},
    "inactive-accounts": {"lastLogin": NOW.replace(year=2024)},
    "deleted-accounts": {"deletedAt": datetime(2026, 1, 29, 3, 20, tzinfo=UTC)},
    "stale-products": {"updated_at": datetime(2025, 9, 1, 3, 20, tzinfo=UTC)},
}


def test_every_quarantine_has_a_policy_that_empties_it() -> None:
    options = [each.policy.options for each in LOADED.values()]
    records = [each for each in options if isinstance(each, RecordOptions)]
    filled = {f"{each.collection}_quarantine" for each in records if each.quarantines}
    assert filled
    assert filled <= {each.collection for each in records if isinstance(each, SelectOptions)}


def test_every_job_has_a_policy() -> None:
    assert {loaded.policy.job for loaded in LOADED.values()} == set(every_job())


@pytest.mark.parametrize("name", CUTOFFS)
def test_it_has_a_schedule_an_undo_and_guards_for_a_steady_state(name: str) -> None:
    policy = LOADED[name].policy
    assert policy.schedule is not None
    assert (policy.undo == "none") is name.startswith("own-")
    assert 0 < policy.guards.max_records <= 20_000


@pytest.mark.parametrize("name", CUTOFFS)
def test_its_plan_can_show_the_oldest_and_the_newest(name: str) -> None:
    policy = LOADED[name].policy
    assert isinstance(policy.options, RecordOptions)
    assert policy.options.dated_by is not None
    assert policy.options.dated_by in job_of(policy).fields(policy)


@pytest.mark.parametrize(("name", "expected"), CUTOFFS.items(), ids=CUTOFFS)
def test_its_cutoff_is_this_moment(name: str, expected: dict[str, datetime]) -> None:
    policy = LOADED[name].policy
    assert cutoffs(job_of(policy).selector(policy), NOW) == expected
