"""Single values are mended only where nothing has to be guessed."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from bson import encode
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.base import Fail, Update
from policies.models import Policy
from policies.selectors import field_of, leaves
from tests.jobs.damage import DUE, Damage
from tests.jobs.policy_of import policy_of
from tests.worker.scenario import NOW
from worker.registry import jobs

JOB = jobs()["value_repair"]
NUMBERS = ("quantity", "revenue", "totals.net")

DAMAGE: dict[str, Damage] = {
    "negative-sales-values": Damage(
        [{"quantity": -1, "revenue": 1.0, "createdAt": NOW} for _ in range(DUE)],
        [{"quantity": -1, "revenue": -1.0, "type": "return", "createdAt": NOW} for _ in range(DUE)],
    ),
    "text-dates": Damage(
        [{"date": "2021-03-04", "createdAt": NOW} for _ in range(DUE)],
        [{"date": NOW, "createdAt": NOW} for _ in range(DUE)],
    ),
    "unreadable-sales-values": Damage(
        [{"revenue": ("12,50", math.nan, False)[n % 3], "createdAt": NOW} for n in range(DUE)],
        [{"revenue": -1, "quantity": None, "cost": [1], "createdAt": NOW} for _ in range(DUE)],
    ),
}


def _numbers(*fields: str) -> Policy:
    repairs = [{"field": field, "when": "negative", "set": 0} for field in fields]
    return policy_of("value_repair", repairs=repairs)


def _dates(*formats: str, timezone: str = "UTC") -> Policy:
    repair = {"field": "date", "when": "text_date", "parse": formats, "timezone": timezone}
    return policy_of("value_repair", repairs=[repair])


BOTH = policy_of(
    "value_repair",
    repairs=[
        {"field": "quantity", "when": "negative", "set": 0},
        {"field": "date", "when": "text_date", "parse": ["iso8601"]},
    ],
)

NEGATIVE = [-1, -0.5, -math.inf, Int64(-3), Decimal128("-0.01"), Decimal128("-Infinity")]
NOT_NEGATIVE = [
    0,
    -0.0,
    1,
    True,
    False,
    None,
    math.nan,
    math.inf,
    Decimal128("NaN"),
    Decimal128("sNaN"),
    Decimal128("-0"),
    "-1",
    [-1],
    {"value": -1},
    datetime(1960, 1, 1, tzinfo=UTC),
]


@pytest.mark.parametrize("value", NEGATIVE, ids=repr)
def test_a_negative_number_becomes_the_declared_one(value: Any) -> None:
    assert JOB.change(_numbers("quantity"), {"quantity": value}) == Update({"quantity": 0})


@pytest.mark.parametrize("value", NOT_NEGATIVE, ids=repr)
def test_what_is_no_negative_number_stays(value: Any) -> None:
    assert JOB.change(_numbers("quantity"), {"quantity": value}) == Fail("nothing_to_mend")


def test_each_negative_field_alone_is_changed() -> None:
    record = {"quantity": -2, "revenue": 9.5, "totals": {"net": -1, "gross": -1}, "cost": -3}
    assert JOB.change(_numbers(*NUMBERS), record) == Update({"quantity": 0, "totals.net": 0})


def test_records_as_the_driver_hands_them_out_are_read() -> None:
    record = RawBSONDocument(encode({"quantity": Int64(-2), "totals": {"net": -1.5}}))
    assert JOB.change(_numbers(*NUMBERS), record) == Update({"quantity": 0, "totals.net": 0})


@pytest.mark.parametrize("record", [{}, {"totals": 5}, {"totals": [{"net": -1}]}, {"totals": {}}])
def test_a_dotted_field_that_leads_nowhere_is_no_number(record: dict[str, Any]) -> None:
    assert JOB.change(_numbers("totals.net"), record) == Fail("nothing_to_mend")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-29", "2024-02-29T00:00:00+00:00"),
        ("2024-02-29T13:45:58Z", "2024-02-29T13:45:58+00:00"),
        ("2024-02-29 13:45", "2024-02-29T13:45:00+00:00"),
        ("2024-02-29T13:45:58.123987+02:00", "2024-02-29T11:45:58.123000+00:00"),
        ("29.02.2024", "2024-02-29T00:00:00+00:00"),
        ("Feb 29, 2024 01:45 PM -0500", "2024-02-29T18:45:00+00:00"),
        ("1900-01-01", "1900-01-01T00:00:00+00:00"),
        ("2100-12-31T23:59:59Z", "2100-12-31T23:59:59+00:00"),
    ],
)
def test_text_in_a_declared_format_becomes_that_moment(text: str, moment: str) -> None:
    policy = _dates("iso8601", "%d.%m.%Y", "%b %d, %Y %I:%M %p %z")
    assert JOB.change(policy, {"date": text}) == Update({"date": datetime.fromisoformat(moment)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-02-29",
        "2024-W09-4",
        "20240229",
        " 2024-02-29",
        "2024-02-29 ",
        "2024-02-29x13:45",
        "02/29/2024",
        "1899-12-31T23:59:59Z",
        "2101-01-01",
        "2100-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1709164800",
    ],
)
def test_other_text_is_never_guessed(text: str) -> None:
    assert JOB.change(_dates("iso8601", "%d.%m.%Y"), {"date": text}) == Fail("not_a_date")


def test_text_that_two_formats_read_differently_is_no_date() -> None:
    policy = _dates("%d/%m/%Y", "%m/%d/%Y")
    assert JOB.change(policy, {"date": "03/04/2024"}) == Fail("not_a_date")
    same = Update({"date": datetime(2024, 4, 4, tzinfo=UTC)})
    assert JOB.change(policy, {"date": "04/04/2024"}) == same
    clear = Update({"date": datetime(2024, 3, 25, tzinfo=UTC)})
    assert JOB.change(policy, {"date": "25/03/2024"}) == clear


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("2024-07-01", Update({"date": datetime(2024, 6, 30, 22, tzinfo=UTC)})),
        ("2024-01-01T12:00", Update({"date": datetime(2024, 1, 1, 11, tzinfo=UTC)})),
        ("2024-01-01T12:00Z", Update({"date": datetime(2024, 1, 1, 12, tzinfo=UTC)})),
        ("2024-10-27T02:30", Fail("not_a_date")),
        ("2024-03-31T02:30", Fail("not_a_date")),
        ("2024-10-27T02:30+01:00", Update({"date": datetime(2024, 10, 27, 1, 30, tzinfo=UTC)})),
    ],
)
def test_text_without_a_zone_is_read_in_the_declared_one(text: str, change: Any) -> None:
    assert JOB.change(_dates("iso8601", timezone="Europe/Berlin"), {"date": text}) == change


@pytest.mark.parametrize("value", [None, 5, datetime(2024, 1, 1, tzinfo=UTC), ["2024-01-01"]])
def test_what_is_no_text_is_no_failed_date(value: Any) -> None:
    assert JOB.change(_dates("iso8601"), {"date": value}) == Fail("nothing_to_mend")


def test_a_record_with_both_is_mended_and_its_unreadable_text_stays() -> None:
    record = {"quantity": -1, "date": "soon"}
    assert JOB.change(BOTH, record) == Update({"quantity": 0})
    assert JOB.change(BOTH, {**record, "quantity": 1}) == Fail("not_a_date")


def test_the_selector_asks_for_any_of_the_repairs() -> None:
    asked = [(type(leaf).__name__, field_of(leaf)) for leaf in leaves(JOB.selector(BOTH))]
    assert asked == [("LessThan", "quantity"), ("IsType", "date")]
    assert JOB.fields(BOTH) == ("quantity", "date")


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-5, 5).map(Int64),
    st.floats(),
    st.decimals(min_value=-(10**6), max_value=10**6, places=2).map(Decimal128),
    st.sampled_from(["NaN", "-Infinity", "-0"]).map(Decimal128),
)
values = st.one_of(numbers, st.none(), st.booleans(), st.text(max_size=5), st.lists(numbers))
written = st.sampled_from(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y", "%d %b %Y"])
moments = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1000)


def _is_negative(value: Any) -> bool:
    """The oracle: a number's text begins with a minus and names another value than zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal128):
        return False
    text = str(value).lower()
    return text.startswith("-") and Decimal(text) != 0


@settings(deadline=None)  # a shared machine has slow moments
@given(
    record=st.fixed_dictionaries(
        {},
        optional={
            "quantity": values,
            "revenue": values,
            "cost": values,
            "totals": st.one_of(values, st.fixed_dictionaries({"net": values})),
        },
    )
)
def test_exactly_the_negative_numbers_become_0(record: dict[str, Any]) -> None:
    flat = {name: value for name, value in record.items() if name != "totals"}
    if isinstance(record.get("totals"), dict):
        flat["totals.net"] = record["totals"]["net"]
    expected = {name: 0 for name in NUMBERS if name in flat and _is_negative(flat[name])}
    change = JOB.change(_numbers(*NUMBERS), record)
    assert change == (Update(expected) if expected else Fail("nothing_to_mend"))


@settings(deadline=None)  # a shared machine has slow moments
@given(moment=moments, form=written)
def test_a_written_date_reads_back_as_the_same_date(moment: datetime, form: str) -> None:
    has_time = "%H" in form
    truth = (
        moment.replace(microsecond=0)
        if has_time
        else datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    )
    change = JOB.change(_dates("iso8601", "%d.%m.%Y", "%d %b %Y"), {"date": moment.strftime(form)})
    in_range = 1900 <= moment.year <= 2100
    assert change == (Update({"date": truth}) if in_range else Fail("not_a_date"))


@settings(deadline=None)  # a shared machine has slow moments
@given(text=st.text(max_size=12))
def test_whatever_the_text_the_answer_is_a_date_in_range_or_a_failure(text: str) -> None:
    change = JOB.change(_dates("iso8601", "%d.%m.%Y"), {"date": text})
    if isinstance(change, Update):
        assert 1900 <= change.fields["date"].year <= 2100
    else:
        assert change == Fail("not_a_date")
