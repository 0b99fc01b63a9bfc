"""Administrators are told once per incident, and once for a provider that is down."""

from datetime import timedelta

from jobs.pos_sync import keeping
from jobs.pos_sync.announcing import announce
from jobs.pos_sync.tables import PosStore
from tests.jobs.pos_sync.desk import TOKENS, Desk
from tests.jobs.pos_sync.provider import Answer, said


def fail(desk: Desk, *stores: str, status: int = 404) -> None:
    desk.provider.route = lambda _asked: Answer(status, b"{}")
    for store in stores:
        desk.attend(store)
    announce(desk.book, desk.now)


def test_of_one_incident_people_are_told_once_whatever_comes_of_it(desk: Desk) -> None:
    store = desk.open("rest")
    for _ in range(4):
        fail(desk, store)
    (notice,) = desk.book.notices
    assert "Camp sql/1 (sql/1, rest): the provider rejects our request." in notice.text
    assert not notice.urgent


def test_after_it_was_well_again_the_next_failure_is_another_incident(desk: Desk) -> None:
    store = desk.open("rest")
    fail(desk, store)
    desk.provider.route = lambda _asked: said({"products": [], "next_cursor": None})
    desk.attend(store)
    fail(desk, store)
    assert len({notice.cause for notice in desk.book.notices}) == 2


def test_when_a_person_is_needed_they_are_told_with_the_way_to_the_steps(desk: Desk) -> None:
    store = desk.open("rest")
    fail(desk, store)
    fail(desk, store, status=403)
    fail(desk, store, status=403)
    first, second = desk.book.notices
    assert not first.urgent
    assert second.urgent
    assert "`tend pos steps sql/1`" in second.text


def test_a_provider_that_is_down_is_one_incident(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 7)]
    fail(desk, *stores)
    (notice,) = desk.book.notices
    assert notice.text.startswith("rest: 6 stores fail alike since")
    assert notice.urgent


def test_a_store_that_joins_an_outage_later_adds_no_notice(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 8)]
    fail(desk, *stores[:5])
    fail(desk, *stores[5:])
    assert len(desk.book.notices) == 1


def test_a_few_of_many_stores_are_no_outage(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 14)]
    fail(desk, *stores[:5])
    assert len(desk.book.notices) == 5


def test_of_a_muted_store_nobody_is_told_until_its_day(desk: Desk) -> None:
    store = desk.open("rest")
    with desk.book.transaction() as session:
        session.get_one(PosStore, store).muted_until = desk.now + timedelta(days=1)
    fail(desk, store)
    assert desk.book.notices == []
    desk.now += timedelta(days=2)
    announce(desk.book, desk.now)
    assert len(desk.book.notices) == 1


def test_before_an_authentication_dies_people_are_told(desk: Desk) -> None:
    store = desk.open("rest")
    for days, told in ((15, 0), (13, 1), (13, 1)):
        keeping.keep(desk.tools, store, TOKENS, desk.now + timedelta(days=days))
        announce(desk.book, desk.now)
        assert len(desk.book.notices) == told
