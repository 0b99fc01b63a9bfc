"""What readings mean under a policy's limits, and what limits a policy may set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.throttle import Limit, Throttle
from worker.targets.base import Reading
from worker.throttle.answer import GO, Answer, judge

INDICATORS = sorted(set(Throttle.model_fields) - {"missing"})
readings = st.lists(
    st.builds(Reading, st.sampled_from(INDICATORS), st.floats(0, 200) | st.none(), st.just("x"))
)


def lag(seconds: float | None, detail: str = "") -> Reading:
    return Reading("replication_lag", seconds, detail)


@pytest.mark.parametrize(
    ("seconds", "answer"),
    [
        (0, GO),
        (10, GO),
        (10.5, Answer("slow", "replication lag is 10.5 s (b:27017), above 10 s")),
        (30, Answer("slow", "replication lag is 30 s (b:27017), above 10 s")),
        (31, Answer("stop", "replication lag is 31 s (b:27017), above 30 s")),
    ],
)
def test_a_value_above_a_limit_is_told_with_its_place(seconds: float, answer: Answer) -> None:
    assert judge(Throttle(), [lag(seconds, "b:27017")]) == answer


def test_a_limit_of_zero_means_zero() -> None:
    never = Throttle(queued_operations=Limit(slow=0, stop=0))
    assert judge(never, [Reading("queued_operations", 0)]) == GO
    assert judge(never, [Reading("queued_operations", 1)]).word == "stop"


def test_what_cannot_be_read_stops_or_not_as_the_policy_says() -> None:
    unknown = [lag(None, "grant clusterMonitor")]
    says = "replication lag cannot be read: grant clusterMonitor"
    assert judge(Throttle(missing="stop"), unknown) == Answer("stop", says)
    assert judge(Throttle(missing="go"), unknown) == Answer("go", says)


@given(readings)
def test_the_gravest_word_wins_with_its_reasons(found: list[Reading]) -> None:
    each = [judge(Throttle(), [reading]) for reading in found]
    words = {answer.word for answer in each}
    answer = judge(Throttle(), found)
    assert answer.word == next((word for word in ("stop", "slow") if word in words), "go")
    reasons = [one.why for one in each if one.word == answer.word and one.why]
    assert answer.why == ("; ".join(reasons) or None)


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match="slow must not be above stop"):
        Limit(slow=3, stop=2)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_a_limit_that_is_no_amount_is_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        Limit(slow=0, stop=value)
