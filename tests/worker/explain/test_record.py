"""What is said of a record is what a plan would do with it, now and at every moment told."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.models import Policy
from tests.examples import examples
from tests.worker.accounts import cascade
from tests.worker.scenario import NOW, Scenario, negative_values, old, purge, sessions, text_dates
from worker.explain.address import Address
from worker.explain.explain import Question, explain
from worker.explain.store import Store
from worker.registry import job_of

WEEK = timedelta(days=7)
DATES = st.one_of(
    st.none(),
    st.just("2019-01-01"),
    st.integers(-3000, 3000).map(lambda hours: NOW + timedelta(hours=hours)),
)


def ask(scenario: Scenario, address: str, *policies: Policy) -> dict[str, Any]:
    engine = scenario.engine
    store = Store(engine.database, engine.archive, engine.keyring)
    question = Question(policies, store, engine.targets["mongo"], engine.subjects, NOW)
    return explain(question, Address(*address.split("/", 2)))


def judged(scenario: Scenario, address: str, policy: Policy) -> dict[str, Any]:
    (record,) = ask(scenario, address, policy)["records"]
    (found,) = record["policies"]
    assert found["policy"] == policy.name
    return dict(found)


def test_a_record_that_is_old_enough_goes_now(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"_id": 1, "createdAt": old(2556)})
    found = judged(scenario, "mongo/salesData/1", purge())
    assert found["matches"] is True
    assert found["change"] == {"does": "delete"}
    assert (found["condition"]["holds"], found["condition"]["says"]) == (
        True,
        "createdAt is a date more than 2555d ago",
    )


def test_a_younger_one_goes_from_the_moment_at_which_it_is_old_enough(scenario: Scenario) -> None:
    born = old(2000)
    scenario.shop.salesData.insert_one({"_id": 1, "createdAt": born})
    found = judged(scenario, "mongo/salesData/1", purge())
    due = datetime.fromisoformat(found["from"])
    assert (found["matches"], due, found["until"]) == (False, born + timedelta(days=2555), None)
    assert found["condition"]["turns_at"] == found["from"]
    for moment, count in ((due, 0), (due + timedelta(milliseconds=1), 1)):
        scenario.clock.moment = moment
        assert scenario.plan(purge()).planned == count


def test_the_next_fire_is_the_first_one_after_that_moment(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"_id": 1, "createdAt": old(2000)})
    found = judged(scenario, "mongo/salesData/1", purge(schedule={"cron": "20 3 * * *"}))
    due = datetime.fromisoformat(found["from"])
    fires = datetime.fromisoformat(found["next_fire"])
    assert timedelta() < fires - due <= timedelta(days=1)
    assert (fires.hour, fires.minute) == (3, 20)


def test_a_record_without_the_date_is_left_as_it_stands(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"_id": 1, "createdAt": "2001-01-01"})
    found = judged(scenario, "mongo/salesData/1", purge())
    assert (found["matches"], found["from"], found["change"]) == (False, None, None)
    assert found["next_fire"] is None
    assert found["condition"]["value"] == "2001-01-01"
    assert found["condition"]["turns_at"] is None


def test_each_condition_says_whether_it_holds_and_why(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"_id": 1, "quantity": -3, "revenue": 5, "type": "return"})
    found = judged(scenario, "mongo/salesData/1", negative_values())
    assert found["matches"] is False
    wanted, spared = found["condition"]["parts"]
    assert [part["holds"] for part in wanted["parts"]] == [True, False]
    assert [part["value"] for part in wanted["parts"]] == [-3, 5]
    assert (spared["says"], spared["holds"]) == ("none of these", False)
    assert spared["parts"][0]["holds"] is True


def test_what_would_be_written_or_left_is_told(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [
            {"_id": 1, "quantity": -3, "date": "2024-02-30"},
            {"_id": 2, "date": "2024-02-29"},
        ]
    )
    found = judged(scenario, "mongo/salesData/1", negative_values())
    assert found["change"] == {"does": "set", "fields": {"quantity": 0}, "unset": []}
    found = judged(scenario, "mongo/salesData/1", text_dates())
    assert found["change"] == {"does": "leave", "code": "not_a_date"}
    found = judged(scenario, "mongo/salesData/2", text_dates())
    assert found["change"]["fields"] == {"date": "2024-02-29T00:00:00+00:00"}


def test_a_condition_that_time_takes_away_says_until_when(scenario: Scenario) -> None:
    """`unless` protects whoever is old: the record matches until then, and no longer."""
    policy = negative_values()
    options = {
        **policy.options.model_dump(mode="json"),
        "unless": {"older_than": {"field": "createdAt", "age": "30d"}},
    }
    policy = policy.model_copy(update={"options": type(policy.options).model_validate(options)})
    scenario.shop.salesData.insert_one({"_id": 1, "quantity": -3, "createdAt": old(10)})
    found = judged(scenario, "mongo/salesData/1", policy)
    assert found["matches"] is True
    assert datetime.fromisoformat(found["until"]) == NOW + timedelta(days=20)


def test_a_session_answers_what_a_session_debugger_would(scenario: Scenario) -> None:
    scenario.shop.sessions.create_index("sessionId")
    scenario.shop.sessions.insert_one(
        {
            "_id": 7,
            "sessionId": "f81d4fae7dec11d0",
            "userId": "65a1b2c3d4e5f60718293a4b",
            "isActive": True,
            "lastActivity": old(1),
            "expiresAt": NOW + WEEK,
        }
    )
    expected = {
        "session_id": "f81d•••",
        "user_id": "65a1•••",
        "active": True,
        "last_activity": old(1).isoformat(),
        "expires_at": (NOW + WEEK).isoformat(),
        "expired": False,
        "expires_in_seconds": 7 * 86400,
    }
    for asked, found_by in (("7", "key"), ("f81d4fae7dec11d0", "sessionId")):
        (record,) = ask(scenario, f"mongo/sessions/{asked}", sessions())["records"]
        assert (record["found_by"], record["facts"]) == (found_by, expected)


def test_an_expired_session_says_so(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_one({"_id": "s", "expiresAt": old(1), "isActive": "yes"})
    (record,) = ask(scenario, "mongo/sessions/s", sessions())["records"]
    facts = record["facts"]
    assert (facts["expired"], facts["expires_in_seconds"], facts["user_id"]) == (True, -86400, None)


def test_a_session_id_is_not_looked_for_without_an_index(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_one({"_id": 7, "sessionId": "abc"})
    told = ask(scenario, "mongo/sessions/abc", sessions())
    assert told["records"] == []
    assert "has no index on sessionId" in told["notes"][0]


def test_a_number_and_its_text_are_two_records(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"_id": 5, "quantity": -1}, {"_id": "5"}])
    records = ask(scenario, "mongo/salesData/5", negative_values())["records"]
    told = {each["key_type"]: each["policies"][0]["matches"] for each in records}
    assert told == {"integer": True, "text": False}


def test_what_people_must_not_see_is_masked_as_in_a_sample(scenario: Scenario) -> None:
    policy = negative_values()
    options = {
        **policy.options.model_dump(mode="json"),
        "unless": {"equals": {"field": "email", "value": "nobody"}},
    }
    policy = policy.model_copy(update={"options": type(policy.options).model_validate(options)})
    scenario.shop.salesData.insert_one({"_id": "secret-key", "email": "ada@example.com"})
    told = str(ask(scenario, "mongo/salesData/secret-key", policy))
    assert "ada@example" not in told
    assert "secret-key" not in told
    assert "a•••@•••" in told


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    expires=DATES,
    created=DATES,
    active=st.sampled_from([True, False, None, "no"]),
    word=st.sampled_from(["older_than", "younger_than"]),
)
def test_from_and_until_are_those_at_which_a_count_changes(
    scenario: Scenario, expires: Any, created: Any, active: Any, word: str
) -> None:
    """The oracle asks the target itself, every 36 hours of half a year."""
    policy = sessions()
    unless = {word: {"field": "createdAt", "age": "20d"}}
    options = {**policy.options.model_dump(mode="json"), "unless": unless}
    policy = policy.model_copy(update={"options": type(policy.options).model_validate(options)})
    scenario.shop.sessions.replace_one(
        {"_id": 1},
        {"expiresAt": expires, "createdAt": created, "isActive": active},
        upsert=True,
    )
    found = judged(scenario, "mongo/sessions/1", policy)
    begins, ends = (
        datetime.fromisoformat(found[name]) if found[name] else None for name in ("from", "until")
    )
    look = scenario.engine.targets["mongo"].look("sessions")
    (record,) = look.find([1])
    selector = job_of(policy).selector(policy)
    for hours in range(0, 150 * 24, 36):
        moment = NOW + timedelta(hours=hours, milliseconds=1)
        told = begins is not None and begins < moment and (ends is None or moment <= ends)
        assert look.matches(selector, moment, record.key) is told


def test_a_policy_that_asks_other_collections_too_says_so(scenario: Scenario) -> None:
    scenario.shop.users.insert_one({"_id": 1, "lastLogin": old(800), "deletedAt": old(31)})
    for name, asks in (("inactive-accounts", True), ("deleted-accounts", False)):
        found = judged(scenario, "mongo/users/1", cascade(name))
        assert (found["matches"], found["asks_elsewhere"]) == (True, asks)
