"""A report groups exactly what a plan would hold; an oracle counts the same in plain Python."""

from collections import Counter
from typing import Any

from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.models import Policy
from tests.examples import examples
from tests.worker.scenario import NOW, Scenario, negative_values, old, purge, sessions, text_dates
from worker.overdue import Source
from worker.report import retention, with_ages

USERS = [None, "ada", "grace", 1, True, "1", 7.5, ObjectId("65a1b2c3d4e5f60718293a4b")]


def report(scenario: Scenario, policy: Policy, **options: Any) -> dict[str, Any]:
    source = Source(scenario.engine.targets["mongo"], policy, NOW)
    return retention(source, **{"by": "userId", "seconds": 30, "limit": 20, **options})


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(st.tuples(st.sampled_from(USERS), st.integers(2500, 2700)), max_size=40),
    limit=st.integers(1, 5),
)
def test_groups_and_rest_add_up_to_what_is_overdue(
    scenario: Scenario, rows: list[tuple[Any, int]], limit: int
) -> None:
    sales = scenario.shop.salesData
    sales.delete_many({})
    documents = [
        {"createdAt": old(age)} | ({} if user is None else {"userId": user}) for user, age in rows
    ]
    if documents:
        sales.insert_many(documents)
    due = [(repr(user), age) for user, age in rows if age > 2555]
    counts = Counter(user for user, _ in due)
    without = counts.pop("None", 0)
    told = report(scenario, purge(), limit=limit)
    assert told["records"] == len(due)
    assert told["without"] == without
    assert [group["records"] for group in told["groups"]] == [
        count for _, count in counts.most_common(limit)
    ]
    shown = sum(group["records"] for group in told["groups"])
    assert told["rest"] == {
        "groups": max(0, len(counts) - limit),
        "records": sum(counts.values()) - shown,
    }
    if told["groups"]:
        oldest = {user: max(age for who, age in due if who == user) for user in counts}
        largest = {user for user in counts if counts[user] == told["groups"][0]["records"]}
        assert told["groups"][0]["oldest_age_seconds"] in {oldest[u] * 86400 for u in largest}


def test_a_users_id_is_masked_and_a_stores_is_not(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one(
        {"createdAt": old(3000), "userId": "user-4711", "storeId": "berlin-3"}
    )
    by_user = report(scenario, purge())["groups"][0]
    assert (by_user["value"], by_user["oldest_age_seconds"]) == ("use•••", 3000 * 86400)
    assert report(scenario, purge(), by="storeId")["groups"][0]["value"] == "berlin-3"


def test_any_policy_is_grouped_by_what_it_finds(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"quantity": -1, "storeId": "s"}, {"quantity": 1, "storeId": "s"}]
    )
    assert report(scenario, negative_values(), by="storeId")["records"] == 1


def test_a_report_out_of_time_says_at_least(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000)})
    told = report(scenario, purge(), seconds=0)
    assert (told["at_least"], told["records"], told["problem"]) == (True, 0, None)


def test_a_report_never_reads_a_collection_whole(scenario: Scenario) -> None:
    scenario.shop.salesData.drop_index("createdAt_1")
    told = report(scenario, purge())
    assert told["records"] is None
    assert "has no index for this selector" in told["problem"]


def test_retention_means_the_policies_with_an_age() -> None:
    found = with_ages([purge(), sessions(), text_dates(), negative_values()], NOW)
    assert list(found) == [purge(), sessions()]
