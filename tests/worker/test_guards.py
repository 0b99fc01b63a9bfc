"""Guards in force: an override raises one limit to what the plan needs, and no other."""

from hypothesis import given
from hypothesis import strategies as st

from policies.models import Guards
from worker import guards
from worker.guards import in_force, judge

LIMITS = st.builds(
    Guards,
    max_records=st.integers(0, 10_000),
    max_percent=st.floats(0, 100),
)
PLANS = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(
    lambda pair: (min(pair), max(pair))
)
NAMES = st.sets(st.sampled_from(["max_records", "max_percent"]))


@given(limits=LIMITS, plan=PLANS)
def test_a_plan_whose_tripped_guards_are_overridden_passes(
    limits: Guards, plan: tuple[int, int]
) -> None:
    tripped = {verdict.guard for verdict in judge(limits, *plan) if verdict.tripped}
    raised = in_force(limits, tripped, *plan)
    assert guards.refusal(judge(raised, *plan)) is None
    guards.check_batch(raised, 0, plan[0])


@given(limits=LIMITS, plan=PLANS, overridden=NAMES)
def test_what_is_not_overridden_stays_and_what_is_goes_no_further_than_the_plan(
    limits: Guards, plan: tuple[int, int], overridden: set[str]
) -> None:
    raised = in_force(limits, overridden, *plan)
    planned, population = plan
    percent = 100 * planned / population if population else 0
    if "max_records" in overridden:
        assert raised.max_records == planned
    else:
        assert raised.max_records == limits.max_records
    if "max_percent" in overridden:
        assert percent <= raised.max_percent <= min(percent + 1.001, 100)
    else:
        assert raised.max_percent == limits.max_percent
