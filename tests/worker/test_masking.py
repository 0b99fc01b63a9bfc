import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex
from hypothesis import example, given
from hypothesis import strategies as st

from worker.masking import contains_email, mask

OBJECT_ID = ObjectId("65a1b2c3d4e5f60718293a4b")


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("email", "ada@example.com", "a•••@•••"),
        ("contact.email", "unknown", "u•••"),
        ("emails.0", "ada@example.com", "a•••@•••"),
        ("note", "ask ada@example.com or grace@example.org", "ask a•••@••• or g•••@•••"),
        ("sessionId", "f81d4fae7dec11d0", "f81d•••"),
        ("session_id", "f81d4fae7dec11d0", "f81d•••"),
        ("_id", "f81d4fae7dec11d0", "f81d•••"),
        ("sessionId", "abcdef", "ab•••"),
        ("sessionId", UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), "f81d•••"),
        ("accessToken", "ya29.a0AfH6SMBx", "ya29•••"),
        ("userId", "65a1b2c3d4e5f60718293a4b", "65a1•••"),
        ("username", "ada", "a•••"),
        ("firstName", "Ada", "A•••"),
        ("shippingAddress", "12 High Street", "1•••"),
        ("passwordHash", "$2b$10$abcdefgh", "•••"),
        ("credentials", "shpat_0123456789", "•••"),
        ("ipAddress", "203.0.113.7", "203.•••"),
        ("ipAddress", "2001:db8::8a2e:370:7334", "2001:•••"),
        ("ipAddress", "unknown", "u•••"),
        ("reason", "login from 203.0.113.7.", "login from 203.•••."),
        ("reason", "login from [2001:db8::1]:443", "login from [2001:•••]:443"),
        ("email", None, None),
        ("email", "", "•••"),
    ],
)
def test_what_points_to_a_person_keeps_only_a_hint(field: str, value: Any, shown: str) -> None:
    assert mask(field, value) == shown


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("quantity", -3, -3),
        ("quantity", Int64(7), 7),
        ("revenue", -12.5, -12.5),
        ("revenue", float("nan"), "nan"),
        ("revenue", Decimal("12.50"), "12.50"),
        ("revenue", Decimal128("12.50"), "12.50"),
        ("isActive", False, False),
        ("lockedAt", None, None),
        ("userId", OBJECT_ID, "65a1b2c3d4e5f60718293a4b"),
        ("date", datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00+00:00"),
        ("date", date(2024, 2, 29), "2024-02-29"),
        ("date", "29/02/2024 12:30:45", "29/02/2024 12:30:45"),
        ("productName", "Espresso 1.2.3", "Espresso 1.2.3"),
        ("sku", "std::42", "std::42"),
        ("storeId", "store-0017", "store-0017"),
        ("category", "bakery@counter", "bakery@counter"),
    ],
)
def test_what_a_person_needs_to_judge_a_plan_passes(field: str, value: Any, shown: Any) -> None:
    assert mask(field, value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"12345", "<5 bytes>"),
        (Binary(b"123"), "<3 bytes>"),
        ({"email": "ada@example.com", "city": "London"}, "<document of 2 fields>"),
        (["ada@example.com"], "<list of 1>"),
        (Regex("ada@example.com"), "<Regex>"),
        (Code("ada@example.com"), "a•••@•••"),
    ],
)
def test_a_value_with_values_in_it_is_named_and_not_opened(value: Any, shown: str) -> None:
    assert mask("details", value) == shown


@given(
    st.text(max_size=20),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.datetimes()
        | st.decimals()
        | st.uuids()
        | st.ip_addresses().map(str),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_every_masked_value_is_plain_json(field: str, value: Any) -> None:
    json.dumps(mask(field, value), allow_nan=False)


@given(st.emails())
@example("0@A.A.A.A.A.A.A.A.A.COM")
def test_no_address_survives_in_any_field(address: str) -> None:
    assert address not in mask("note", f"write to {address} today")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("requested by ada@example.com", True),
        ("(ADA.Lovelace+x@mail.example.co.uk)", True),
        ("für jürgen@bücher.example", True),
        ("ticket OPS-42, as agreed @ the stand-up", False),
        ("root@db1 asked for it", False),
        ("pinned left-pad@1.3.0", False),
        ("", False),
    ],
)
def test_an_address_in_a_reason_is_recognised(text: str, found: bool) -> None:
    assert contains_email(text) is found
