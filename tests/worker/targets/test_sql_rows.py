"""Every value comes back from an archive exactly as it went in."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.examples import examples
from tests.worker.targets.shops import Site, deletes, words
from worker.targets.sql_rows import Form, Kind, NativeRow, StoredForm, TextForm, size_of

RARE = settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
moments = st.integers(-(2**52), 2**53).map(
    lambda passed: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=passed)
)
whole = st.integers(-(2**63), 2**63 - 1)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=5,
)
NATIVE: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INTEGER: whole,
    Kind.DECIMAL: st.decimals(allow_nan=False),
    Kind.FLOAT: st.floats(allow_nan=False),
    Kind.BOOLEAN: st.booleans(),
    Kind.TEXT: letters,
    Kind.DAY: st.dates(),
    Kind.MOMENT: moments,
    Kind.INSTANT: moments,
    Kind.OTHER: letters,
}


@given(st.data(), st.sampled_from(Kind))
def test_a_native_value_survives_its_raw_form(data: st.DataObject, kind: Kind) -> None:
    value = data.draw(st.none() | NATIVE[kind])
    form = TextForm()
    raw = form.raw(value)
    assert bson.decode(bson.encode({"": raw}))[""] == raw
    back = form.native(kind, raw)
    assert (type(back), back) == (type(value), value)


@given(st.data(), st.sampled_from(sorted(set(Kind) - {Kind.DECIMAL})))
def test_a_native_value_survives_in_sqlite(data: st.DataObject, kind: Kind) -> None:
    """But for decimals, which SQLite itself keeps as binary fractions."""
    value = data.draw(st.none() | NATIVE[kind])
    form = StoredForm()
    raw = form.raw(value)
    assert bson.decode(bson.encode({"": raw}))[""] == raw
    assert form.native(kind, raw) == value


@pytest.mark.parametrize("form", [TextForm(), StoredForm()])
@pytest.mark.parametrize("kind", [Kind.DAY, Kind.MOMENT, Kind.INSTANT])
@pytest.mark.parametrize("raw", ["infinity", "0044-03-15 BC", "12345-01-01 00:00:00", "soon", ""])
def test_a_date_that_python_cannot_hold_stays_text(form: Form, kind: Kind, raw: str) -> None:
    assert form.native(kind, raw) == raw


@pytest.mark.parametrize("form", [TextForm(), StoredForm()])
def test_a_moment_without_a_zone_is_in_utc(form: Form) -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert form.native(Kind.MOMENT, "2026-05-01 12:00:00") == noon
    assert form.native(Kind.INSTANT, "2026-05-01 14:00:00+02") == noon


def test_a_job_reads_only_what_it_asks_for() -> None:
    row = NativeRow(TextForm(), {"a": Kind.INTEGER, "b": Kind.DAY}, {"a": "5", "b": "2026-01-02"})
    assert dict(row) == {"a": 5, "b": date(2026, 1, 2)}
    assert len(row) == 2
    assert row.get("c") is None


def test_a_row_is_as_large_as_its_text() -> None:
    assert size_of({"name": "x" * 100, "data": b"y" * 50, "number": 7}) == 14 + 100 + 50 + 8


ALL = words(none=[{"equals": {"field": "id", "value": None}}])
POSTGRES = {
    "whole": ("bigint", whole),
    "exact": ("numeric", st.decimals(allow_nan=False, allow_infinity=False) | st.just("NaN")),
    "money": ("numeric(10, 2)", st.decimals(-999, 999, places=2)),
    "binary": ("double precision", st.floats()),
    "single": ("real", st.floats(width=32)),
    "flag": ("boolean", st.booleans()),
    "words": ("text", letters),
    "padded": ("char(9)", letters),
    "day": ("date", st.dates() | st.sampled_from(["infinity", "0044-03-15 BC"])),
    "at": ("timestamp", moments.map(lambda moment: moment.replace(tzinfo=None))),
    "at_zone": ("timestamptz", moments | st.sampled_from(["-infinity", "294276-12-31 23:00+00"])),
    "hour": ("time", st.times()),
    "span": ("interval", st.sampled_from(["1 mon -3 days 00:00:01.000001", "-1 year", "25:00"])),
    "one": ("uuid", st.uuids()),
    "data": ("bytea", st.binary(max_size=20)),
    "loose": ("json", documents.map(json.dumps)),
    "tight": ("jsonb", st.sampled_from(['{"n": 1.00000000000000000000000001}', "[null, -0.0]"])),
    "several": ("int[]", st.lists(st.integers(-5, 5) | st.none(), max_size=3)),
    "texts": ("text[]", st.lists(letters, max_size=3)),
    "range": ("numrange", st.sampled_from(["[1.50,2)", "empty", "(,)"])),
    "net": ("inet", st.ip_addresses().map(str)),
    "mood": ("mood", st.sampled_from(["sad", 'it\'s "fine", {ok}'])),
    "pair": ("pair", st.sampled_from(['(1,"a ""b"" ,")', "(,)"])),
}


@RARE
@given(st.fixed_dictionaries({name: st.none() | draw for name, (_, draw) in POSTGRES.items()}))
def test_a_row_of_every_type_comes_back_to_postgresql(
    postgres_site: Site, row: dict[str, Any]
) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in POSTGRES.items())
    postgres_site.run(
        "DROP TABLE IF EXISTS kinds",
        "DROP TYPE IF EXISTS mood, pair",
        """CREATE TYPE mood AS ENUM ('sad', 'it''s "fine", {ok}')""",
        "CREATE TYPE pair AS (a int, b text)",
        f"CREATE TABLE kinds (id int PRIMARY KEY, {columns})",
    )
    with postgres_site.engine.begin() as connection:
        values = ", ".join(f"CAST(:{name} AS {kind})" for name, (kind, _) in POSTGRES.items())
        insertion = f"INSERT INTO kinds VALUES (1, {values})"  # noqa: S608 - names of our own
        connection.execute(text(insertion), row)
    _goes_and_comes_back(postgres_site, "SELECT k::text FROM kinds k")


@RARE
@given(
    st.lists(
        st.tuples(*[st.none() | whole | st.floats() | letters | st.binary(max_size=9)] * 4),
        min_size=1,
        max_size=5,
    )
)
def test_a_row_of_any_values_comes_back_to_sqlite(
    sqlite_site: Site, rows: list[tuple[Any, ...]]
) -> None:
    """Whatever the columns were declared to hold."""
    sqlite_site.run(
        "DROP TABLE IF EXISTS kinds",
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY, a NUMERIC, b TEXT, c DATETIME, d)",
    )
    with sqlite_site.engine.begin() as connection:
        for row in rows:
            connection.exec_driver_sql("INSERT INTO kinds (a, b, c, d) VALUES (?, ?, ?, ?)", row)
    _goes_and_comes_back(sqlite_site, "SELECT *, typeof(a), typeof(c), typeof(d) FROM kinds")


def _goes_and_comes_back(site: Site, query: str) -> None:
    before = site.rows(query)
    hand = site.of("kinds")
    name = f"run/{next(hand.serial)}"
    keys = hand.keys(ALL, scan=True)
    done = hand.change(keys, ALL, deletes, name=name)
    assert site.rows(query) == []
    hand.undo(done, name=f"{name}/undo")
    after = site.rows(query)
    assert [[_told(value) for value in row] for row in after] == [
        [_told(value) for value in row] for row in before
    ]


def _told(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else repr(value)
