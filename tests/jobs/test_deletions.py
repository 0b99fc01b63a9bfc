"""Sessions and retention: which records they want, and that they delete nothing else."""

from datetime import timedelta

from pydantic import TypeAdapter

from jobs.base import Delete
from policies.selectors import Selector
from tests.jobs.damage import DUE, Damage
from tests.jobs.policy_of import policy_of
from tests.worker.scenario import NOW, old
from worker.registry import jobs

SESSIONS, RETENTION = jobs()["session_cleanup"], jobs()["retention_purge"]
OLD = {"older_than": {"field": "createdAt", "age": "7y"}}

DAMAGE: dict[str, Damage] = {
    "session-cleanup": Damage(
        [{"isActive": number % 2 == 0, "expiresAt": old(1)} for number in range(DUE)],
        [{"isActive": True, "expiresAt": old(-1)} for _ in range(DUE)],
    ),
    "oauth-state-cleanup": Damage(
        [{"timestamp": NOW - timedelta(minutes=10, seconds=1)} for _ in range(DUE)],
        [{"timestamp": NOW - timedelta(minutes=10)} for _ in range(DUE)],
    ),
    "sales-retention": Damage(
        [{"createdAt": old(2555.1)} for _ in range(DUE)],
        [{"createdAt": old(2555)} for _ in range(DUE)],
    ),
    "own-runs": Damage(
        [{"created_at": old(401)} for _ in range(DUE)],
        [
            {"created_at": old(399 if number % 2 else 401), "key": b"" if number % 2 else b"k"}
            for number in range(DUE)
        ],
    ),
    "own-doorbells": Damage(
        [{"due_at": old(31)} for _ in range(DUE)],
        [{"due_at": old(29)} for _ in range(DUE)],
    ),
    "own-alerts": Damage(
        [{"settled_at": old(401)} for _ in range(DUE)],
        [{"settled_at": old(399)} for _ in range(DUE)],
    ),
    "own-notices": Damage(
        [{"at": old(401), "sent_at": old(401)} for _ in range(DUE)],
        [{"at": old(399), "sent_at": old(399)} for _ in range(DUE)],
    ),
    "sales-quarantine-retention": Damage(
        [{"until": NOW - timedelta(seconds=1)} for _ in range(DUE)],
        [{"until": NOW} for _ in range(DUE)],
    ),
    "audit-log-retention": Damage(
        [{"timestamp": NOW.replace(year=2019) - timedelta(days=1)} for _ in range(DUE)],
        [{"timestamp": NOW.replace(year=2019)} for _ in range(DUE)],
    ),
}


def _selector(words: object) -> Selector:
    return TypeAdapter[Selector](Selector).validate_python(words)


def test_a_session_goes_when_it_is_expired_or_inactive() -> None:
    assert SESSIONS.selector(policy_of("session_cleanup")) == _selector(
        {
            "any": [
                {"older_than": {"field": "expiresAt", "age": "0s"}},
                {"equals": {"field": "isActive", "value": False}},
            ]
        }
    )


def test_the_fields_of_a_session_can_have_other_names() -> None:
    policy = policy_of("session_cleanup", expires="until", active="on", dated_by="createdAt")
    assert SESSIONS.fields(policy) == ("until", "on", "createdAt")


def test_retention_wants_what_the_policy_selects() -> None:
    policy = policy_of("retention_purge", select=OLD)
    assert RETENTION.selector(policy) == _selector(OLD)
    assert RETENTION.fields(policy) == ("createdAt",)


def test_records_that_match_unless_are_taken_out() -> None:
    kept = {"equals": {"field": "kept", "value": True}}
    policy = policy_of("retention_purge", select=OLD, unless=kept)
    assert RETENTION.selector(policy) == _selector({"all": [OLD, {"none": [kept]}]})
    assert RETENTION.fields(policy) == ("createdAt", "kept")


def test_both_delete_every_record_that_still_matches() -> None:
    for job in (SESSIONS, RETENTION):
        policy = policy_of(job.name, **({"select": OLD} if job is RETENTION else {}))
        assert job.change(policy, {"_id": 1}) == Delete()
