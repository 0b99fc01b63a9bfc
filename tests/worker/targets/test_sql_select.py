"""What a selector means in SQL: dates, numbers, and columns that cannot be compared so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.selectors import Selector
from tests.worker.scenario import NOW, old
from tests.worker.targets.shops import Site, deletes, words
from worker.errors import IndexMissing, TargetError

PAST = words(older_than={"field": "at", "age": "1d"})
CUTOFF = NOW - timedelta(days=1)
NEGATIVE = words(less_than={"field": "n", "value": 0})


def things(site: Site, kind: str, *values: str, column: str = "at") -> None:
    """One row for each value, with a text column beside it."""
    site.run(f"CREATE TABLE things (id int PRIMARY KEY, {column} {kind}, name text)")
    for number, value in enumerate(values):
        site.run(f"INSERT INTO things VALUES ({number}, {value}, 'x')")  # noqa: S608 - our own


def found(site: Site, selector: Selector) -> list[Any]:
    return site.of("things").keys(selector, scan=True)


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_moments_are_compared_in_utc_wherever_the_server_stands(
    postgres_site: Site, kind: str
) -> None:
    name = postgres_site.engine.url.database
    postgres_site.run(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    postgres_site.run(f"ALTER DATABASE {name} SET datestyle = 'German'")
    postgres_site.engine.dispose()
    moments = [CUTOFF - timedelta(microseconds=1), CUTOFF]
    zone = "" if kind == "timestamp" else "+00"
    things(postgres_site, kind, *(f"'{moment:%Y-%m-%d %H:%M:%S.%f}{zone}'" for moment in moments))
    assert found(postgres_site, PAST) == [0]
    (item,) = postgres_site.of("things").select(PAST, "at", scan=True)
    assert item.fields["at"] == moments[0]


def test_what_has_always_or_never_been_is_not_older(postgres_site: Site) -> None:
    things(postgres_site, "timestamp", "'-infinity'", "'infinity'", "'0044-03-15 BC'", "NULL")
    assert found(postgres_site, PAST) == [2]
    assert found(postgres_site, words(none=[PAST])) == [0, 1, 3]


def test_a_day_is_older_when_it_has_ended(site: Site) -> None:
    days = [CUTOFF - timedelta(days=1), CUTOFF]
    things(site, "date", *(f"'{day:%Y-%m-%d}'" for day in days))
    assert found(site, PAST) == [0]


def test_sqlite_reads_dates_in_the_forms_that_applications_write(sqlite_site: Site) -> None:
    in_tokyo = (CUTOFF + timedelta(hours=9)).replace(tzinfo=None)
    things(
        sqlite_site,
        "DATETIME",
        f"'{CUTOFF - timedelta(milliseconds=1):%Y-%m-%d %H:%M:%S.%f}'",
        f"'{CUTOFF:%Y-%m-%d %H:%M:%S.%f}'",
        f"'{CUTOFF - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}'",
        f"'{in_tokyo - timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}+09:00'",
        f"'{in_tokyo:%Y-%m-%dT%H:%M:%S}+09:00'",
    )
    assert found(sqlite_site, PAST) == [0, 2, 3]


def test_what_is_no_date_is_not_older_in_sqlite(sqlite_site: Site) -> None:
    things(sqlite_site, "DATETIME", "0", "-5.5", "'12:00'", "''", "'soon'", "x'3230'", "NULL")
    assert found(sqlite_site, PAST) == []
    no_dates = words(is_type={"field": "at", "type": "text"})
    assert found(sqlite_site, no_dates) == [2, 3, 4]


def test_not_a_number_is_not_less(postgres_site: Site) -> None:
    things(postgres_site, "float8", "'NaN'", "-0.0", "'-Infinity'", "NULL", column="n")
    assert found(postgres_site, NEGATIVE) == [2]


def test_every_kind_of_number_is_compared_by_its_index(site: Site) -> None:
    for kind in ("int", "smallint", "bigint", "numeric(10,2)", "real", "double precision"):
        things(site, kind, "-1", "0", "1", "2", column="n")
        site.run("CREATE INDEX things_n ON things (n)")
        hand = site.of("things")
        assert hand.keys(NEGATIVE) == [0]
        assert hand.keys(words(less_than={"field": "n", "value": 1.5})) == [0, 1, 2]
        assert hand.keys(words(less_than={"field": "n", "value": 1_000})) == [0, 1, 2, 3]
        assert hand.keys(words(equals={"field": "n", "value": 2.0})) == [3]
        site.run("DROP TABLE things")


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamp with time zone"])
def test_the_index_of_a_date_is_used_whatever_its_kind(site: Site, kind: str) -> None:
    things(site, kind)
    with pytest.raises(IndexMissing, match="CREATE INDEX"):
        site.target.check("things", PAST, NOW)
    site.run("CREATE INDEX things_at ON things (at)")
    site.target.check("things", PAST, NOW)


def test_the_command_creates_the_index_that_is_missing(site: Site) -> None:
    things(site, "int", column="n")
    either = words(any=[NEGATIVE, {"equals": {"field": "name", "value": "y"}}])
    with pytest.raises(IndexMissing) as refused:
        site.target.check("things", either, NOW)
    commands = str(refused.value).partition("create it with ")[2].partition(" or look")[0]
    for command in commands.replace("CONCURRENTLY ", "").split(";")[:-1]:
        site.run(command)
    site.target.check("things", either, NOW)


def test_an_index_of_the_very_records_may_be_read_whole(site: Site) -> None:
    things(site, "int", column="n")
    site.run("CREATE INDEX covers ON things (id, n)")
    with pytest.raises(IndexMissing):
        site.target.check("things", words(none=[NEGATIVE]), NOW)
    site.run("DROP INDEX covers", "CREATE INDEX negative ON things (id) WHERE n < 0")
    if site.dialect == "postgresql":  # SQLite cannot see that a parameter implies the condition
        site.target.check("things", NEGATIVE, NOW)


REFUSED = [
    (words(older_than={"field": "name", "age": "1d"}), "column name holds text, and older_"),
    (words(older_than={"field": "n", "age": "1d"}), "column n holds integers, and older_than"),
    (words(less_than={"field": "name", "value": 0}), "column name holds text, and less_than"),
    (words(equals={"field": "n", "value": "5"}), "column n holds integers, and equals a text"),
    (words(equals={"field": "n", "value": True}), "column n holds integers, and equals true"),
    (words(equals={"field": "name", "value": 5}), "column name holds text, and equals a num"),
    (words(equals={"field": "nmae", "value": "5"}), "table things has no column 'nmae'"),
    (words(is_type={"field": "a.b", "type": "text"}), r"table things has no column 'a\.b'"),
    (words(less_than={"field": "N", "value": 0}), "table things has no column 'N'"),
]


def test_a_column_that_cannot_be_compared_so_is_refused(site: Site) -> None:
    things(site, "int", "1", column="n")
    for selector, sentence in REFUSED:
        with pytest.raises(TargetError, match=sentence):
            found(site, words(any=[NEGATIVE, selector]))


def test_types_of_the_databases_own_are_compared_by_their_text(postgres_site: Site) -> None:
    same = "'11111111-2222-3333-4444-555555555555'"
    things(postgres_site, "uuid", same, "gen_random_uuid()", column="n")
    selector = words(equals={"field": "n", "value": same.strip("'")})
    assert found(postgres_site, selector) == [0]


def test_a_value_that_the_column_cannot_hold_is_a_sentence_without_the_value(
    postgres_site: Site,
) -> None:
    things(postgres_site, "uuid", "gen_random_uuid()", column="n")
    with pytest.raises(TargetError, match="whose type refuses a value") as refused:
        found(postgres_site, words(equals={"field": "n", "value": "secret"}))
    assert "secret" not in str(refused.value)


def test_text_in_a_column_of_numbers_is_found_and_left_alone_in_sqlite(sqlite_site: Site) -> None:
    things(sqlite_site, "INTEGER", "-1", "'abc'", "'-3 pieces'", "x'00'", "NULL", column="n")
    assert found(sqlite_site, NEGATIVE) == [0]
    assert found(sqlite_site, words(is_type={"field": "n", "type": "text"})) == [1, 2]
    hand = sqlite_site.of("things")
    done = hand.change([0, 1, 2, 3], words(any=[NEGATIVE]), deletes)
    assert done.outcomes.counts[:2] == (1, 3)


def test_moments_before_1970_are_moments(site: Site) -> None:
    things(site, "timestamp", "'1902-03-04 05:06:07'")
    assert found(site, PAST) == [0]
    (item,) = site.of("things").select(PAST, "at", scan=True)
    assert item.fields["at"] == datetime(1902, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert item.fields["at"] < old(0)
