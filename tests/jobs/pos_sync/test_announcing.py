"""One alert per incident, and one for a provider that is down."""

from datetime import timedelta
from typing import Any

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


def well(desk: Desk, store: str) -> None:
    good: dict[str, Any] = {"status": "ok", "products": [], "next_cursor": None}
    desk.provider.route = lambda _asked: said(good)
    desk.attend(store)
    announce(desk.book, desk.now)


def test_of_one_incident_there_is_one_alert_until_the_store_is_well(desk: Desk) -> None:
    store = desk.open("rest")
    for _ in range(2):
        fail(desk, store)
    (alert,) = desk.book.raised
    assert alert.event == "service_failing"
    assert "Camp sql/1 (sql/1, rest): the provider rejects our request." in alert.text
    well(desk, store)
    assert desk.book.alerts == {}
    fail(desk, store)
    assert len(desk.book.raised) == 2


def test_when_a_person_is_needed_that_is_another_alert_with_the_way_to_the_steps(
    desk: Desk,
) -> None:
    store = desk.open("rest")
    fail(desk, store)
    fail(desk, store, status=403)
    fail(desk, store, status=403)
    assert [alert.event for alert in desk.book.raised] == ["service_failing", "needs_person"]
    (standing,) = desk.book.alerts.values()
    assert (standing.event, standing.next) == ("needs_person", "tend pos steps sql/1")


def test_a_provider_that_is_down_is_one_incident(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 7)]
    fail(desk, *stores)
    (alert,) = desk.book.raised
    assert alert.text.startswith("rest: 6 stores fail alike since")
    for store in stores[:3]:
        well(desk, store)
    assert set(desk.book.alerts) == {f"pos/{store}" for store in stores[3:]}


def test_a_store_that_joins_an_outage_later_adds_no_alert(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 8)]
    fail(desk, *stores[:5])
    fail(desk, *stores[5:])
    assert set(desk.book.alerts) == {"pos/provider/rest"}
    assert len(desk.book.raised) == 1


def test_a_few_of_many_stores_are_no_outage(desk: Desk) -> None:
    stores = [desk.open("rest", key=f"sql/{number}") for number in range(1, 14)]
    fail(desk, *stores[:5])
    assert set(desk.book.alerts) == {f"pos/{store}" for store in stores[:5]}


def test_of_a_muted_store_nobody_is_told_until_its_day(desk: Desk) -> None:
    store = desk.open("rest")
    fail(desk, store)
    with desk.book.transaction() as session:
        session.get_one(PosStore, store).muted_until = desk.now + timedelta(days=1)
    announce(desk.book, desk.now)
    assert desk.book.alerts == {}
    desk.now += timedelta(days=2)
    announce(desk.book, desk.now)
    assert set(desk.book.alerts) == {f"pos/{store}"}


def test_before_an_authentication_dies_people_are_told_until_it_is_renewed(desk: Desk) -> None:
    store = desk.open("rest")
    for days, standing in ((15, 0), (13, 1), (13, 1), (90, 0)):
        keeping.keep(desk.tools, store, TOKENS, desk.now + timedelta(days=days))
        announce(desk.book, desk.now)
        assert len(desk.book.alerts) == standing
    assert [alert.event for alert in desk.book.raised] == ["ends_soon"] * len(desk.book.raised)
