"""A store's life over real sockets: it fails, recovers by itself, and says when it cannot."""

import os
import signal
import threading
from datetime import timedelta
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from jobs.pos_sync import keeping
from jobs.pos_sync.attempt import Ended, attend, check, tell
from jobs.pos_sync.catalog_sql import SqlCatalog
from jobs.pos_sync.condition import Condition
from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.register import due
from jobs.pos_sync.steps import steps_for
from jobs.pos_sync.syncing import perform_one
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.pos_sync.transport import Http, Rules
from tests.jobs.pos_sync.desk import NOW, TOKENS, Book, Desk
from tests.jobs.pos_sync.provider import Answer, Asked, file, said
from tests.jobs.pos_sync.shops import SqlShop
from worker.database import Database
from worker.keys import RunKey
from worker.targets.sql_server import SqlServer

FRESH = {"access_token": "NEW", "refresh_token": "NEXT", "expires_at": "2026-12-22T04:00:00Z"}


def products(*names: str, price: str = "1.10", cursor: str | None = None) -> Answer:
    moment = "2026-11-20T10:00:00Z"
    rows = [{"id": one, "name": "Tent", "price": price, "updated_at": moment} for one in names]
    return said({"products": rows, "next_cursor": cursor})


def rest(*pages: Answer, status: Answer | None = None) -> Any:
    """The generic API: `pages` in a row, the last one for ever."""
    left = list(pages)

    def route(asked: Asked) -> Answer:
        if asked.path == "/status":
            return status or said({"status": "ok"})
        return left.pop(0) if len(left) > 1 else left[0]

    return route


def square(asked: Asked) -> Answer:
    """Square with one good token, GOOD or NEW."""
    if asked.path == "/oauth2/token":
        return said(FRESH)
    if asked.headers["authorization"] != "Bearer NEW":
        return said({"errors": [{"code": "ACCESS_TOKEN_EXPIRED"}]}, 401)
    if asked.path == "/v2/merchants/me":
        return said({"merchant": []})
    return file("synthetic/square_search_catalog_page2_last.json")


def test_a_store_is_synced_page_by_page(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1", cursor="two"), products("p2"))
    result = desk.attend(store)
    assert result.ended == Ended.SYNCED
    assert desk.shop.prices() == {"p1": Decimal("1.10"), "p2": Decimal("1.10")}
    assert desk.shop.told() == ("healthy", True)
    assert [one.query.get("cursor") for one in desk.provider.asked] == [None, "two"]
    row = desk.row(store)
    assert (row.condition, row.data_as_of) == (Condition.HEALTHY, desk.now)
    assert row.next_at == desk.now + timedelta(hours=1)


def test_the_next_sync_asks_for_what_changed_and_once_a_day_for_everything(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1"))
    for _ in range(5):
        desk.attend(store)
    whole = ["updated_since" not in one.query for one in desk.provider.asked]
    assert whole == [True, False, False, False, True]


def test_a_failing_store_degrades_then_recovers_then_is_offline(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    seen = []
    for _ in range(8):
        desk.let_breaker_wait_end(store)
        desk.attend(store)
        seen.append(desk.row(store).condition)
    assert seen == ["degraded"] * 2 + ["error"] * 3 + ["offline"] * 3
    assert desk.shop.told() == ("offline", False)


def test_recovery_goes_step_by_step_and_each_step_is_written_down(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    for _ in range(3):
        desk.attend(store)
    assert desk.row(store).condition == Condition.ERROR
    assert desk.steps(store) == [("sync", "rejected")] * 3
    desk.provider.route = rest(products("p1"))
    desk.attend(store)
    assert desk.steps(store)[3:] == [
        ("reset connection", "ok"),
        ("verify credentials", "ok"),
        ("test connection", "ok"),
        ("sync", "ok"),
    ]
    row = desk.row(store)
    assert (row.condition, row.failures, row.ill_since) == (Condition.HEALTHY, 0, None)
    moves = [(entry["from"], entry["to"]) for _, entry in desk.book.entries]
    assert moves == [("healthy", "degraded"), ("degraded", "error"), ("error", "healthy")]
    assert desk.book.entries[-1][1]["steps"][0] == "reset connection: ok"


def test_after_five_failures_nobody_asks_until_one_probe_is_good(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    for _ in range(5):
        desk.attend(store)
    asked = len(desk.provider.asked)
    assert desk.attend(store).ended == Ended.WAITS
    assert len(desk.provider.asked) == asked
    desk.let_breaker_wait_end(store)
    desk.provider.route = rest(products("p1"))
    assert desk.attend(store).ended == Ended.SYNCED
    paths = [one.path for one in desk.provider.asked[asked:]]
    assert paths == ["/status", "/status", "/products"]


def test_a_probe_that_fails_never_syncs(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    for _ in range(5):
        desk.attend(store)
    desk.let_breaker_wait_end(store)
    desk.provider.route = rest(products("p1"), status=Answer(404, b"{}"))
    assert desk.attend(store).ended == Ended.FAILED
    assert desk.provider.asked[-1].path == "/status"


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("synthetic/lwa_invalid_grant_400.json", 400, Kind.REVOKED),
        ("synthetic/shopify_nonexpiring_token_403.json", 403, Kind.RETIRED),
        ("synthetic/lwa_invalid_client_401.json", 401, Kind.CLIENT_REFUSED),
    ],
)
def test_what_only_a_person_can_mend_is_not_tried_again(
    name: str, status: int, kind: Kind, desk: Desk
) -> None:
    store = desk.open("rest")
    desk.provider.route = lambda _asked: file(name, status)
    desk.attend(store)
    row = desk.row(store)
    assert (row.condition, row.error) == (Condition.NEEDS_PERSON, kind)
    assert desk.shop.told() == ("needs_person", False)


def test_a_sync_that_is_refused_finds_out_which_scope_is_missing(desk: Desk) -> None:
    """A GraphQL answer says ACCESS_DENIED, and not for lack of what."""
    store = desk.open("shopify")
    denied = {"errors": [{"message": "no", "extensions": {"code": "ACCESS_DENIED"}}]}
    installed = {"currentAppInstallation": {"accessScopes": [{"handle": "read_products"}]}}
    desk.provider.route = lambda asked: said(
        {"data": installed} if "accessScopes" in asked.body.decode() else denied
    )
    desk.attend(store)
    row = desk.row(store)
    assert (row.condition, row.error) == (Condition.NEEDS_PERSON, Kind.FORBIDDEN)
    assert row.detail == "missing: read_inventory"
    assert "a permission is missing: missing: read_inventory." in steps_for(row)
    assert desk.steps(store) == [
        ("sync", "forbidden"),
        ("verify credentials", "ok"),
        ("test connection", "forbidden"),
    ]


def test_a_refusal_that_nobody_explains_stays_what_it_was(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(Answer(403))
    desk.attend(store)
    row = desk.row(store)
    assert (row.error, row.detail) == (Kind.FORBIDDEN, "status 403")


def test_without_credentials_a_person_is_asked_for_them(desk: Desk) -> None:
    store = desk.open("rest", held=TOKENS.with_answer(access_token=None))
    desk.attend(store)
    row = desk.row(store)
    assert (row.condition, row.detail) == (Condition.NEEDS_PERSON, "access_token is missing")
    assert desk.provider.asked == []


def test_a_refused_token_is_refreshed_once_and_the_sync_goes_on(desk: Desk) -> None:
    store = desk.open("square")
    desk.provider.route = square
    assert desk.attend(store).ended == Ended.SYNCED
    assert [one.path for one in desk.provider.asked].count("/oauth2/token") == 1
    assert keeping.held(desk.tools, store).credentials.need("refresh_token") == "NEXT"
    assert desk.steps(store) == [("refresh token", "ok"), ("sync", "ok")]


def test_a_token_refused_after_its_refresh_needs_a_person(desk: Desk) -> None:
    store = desk.open("square")
    desk.provider.route = lambda asked: said(FRESH) if "token" in asked.path else Answer(401)
    desk.attend(store)
    assert desk.row(store).condition == Condition.NEEDS_PERSON
    assert [one.path for one in desk.provider.asked].count("/oauth2/token") == 1


def test_a_token_about_to_end_is_refreshed_before_it_is_used(desk: Desk) -> None:
    store = desk.open("square", held=TOKENS.with_answer(access_expires=desk.now))
    desk.provider.route = square
    assert desk.attend(store).ended == Ended.SYNCED
    assert desk.provider.asked[0].path == "/oauth2/token"


def test_a_lost_refresh_answer_is_tried_again_later_and_then_says_it_is_orphaned(
    desk: Desk,
) -> None:
    store = desk.open("square", held=TOKENS.with_answer(access_token=None))
    held = TOKENS.with_answer(access_expires=desk.now)
    keeping.keep(desk.tools, store, held, None)
    desk.provider.route = lambda _asked: Answer(reset=True, declared=9)
    desk.attend(store)
    assert desk.row(store).condition == Condition.DEGRADED
    assert len(desk.provider.asked) == 1
    orphaned = "synthetic/shopify_refresh_token_orphaned_401.json"
    desk.provider.route = lambda _asked: file(orphaned, 401)
    desk.attend(store)
    assert (desk.row(store).condition, desk.row(store).error) == ("needs_person", Kind.REVOKED)


def test_of_workers_that_refresh_at_once_one_asks_for_all(desk: Desk) -> None:
    store = desk.open("square")
    desk.provider.route = square
    connector, old = CONNECTORS["square"], keeping.held(desk.tools, store)
    got: list[str] = []

    def refresh() -> None:
        with _http(desk.tools, desk) as http:
            fresh = keeping.refreshed(desk.tools, store, connector, old, http)
        got.append(fresh.credentials.need("access_token"))

    workers = [threading.Thread(target=refresh) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert got == ["NEW"] * 4
    assert len(desk.provider.asked) == 1


def test_a_refresher_that_was_killed_is_replaced_when_its_lease_ends(desk: Desk) -> None:
    store = desk.open("square")
    desk.provider.route = square
    old = keeping.held(desk.tools, store)
    assert keeping._taken(desk.tools, store, old.version)  # noqa: SLF001 - and then it is killed
    desk.now += timedelta(seconds=61)
    with _http(desk.tools, desk) as http:
        fresh = keeping.refreshed(desk.tools, store, CONNECTORS["square"], old, http)
    assert fresh.credentials.need("access_token") == "NEW"


def test_a_sync_that_was_interrupted_goes_on_from_its_cursor(desk: Desk) -> None:
    store = desk.open("rest")
    pages = [products("p1", cursor="two"), Answer(404, b"{}"), products("p2")]
    desk.provider.route = rest(*pages)
    desk.attend(store)
    assert set(desk.shop.prices()) == {"p1"}
    desk.attend(store)
    assert set(desk.shop.prices()) == {"p1", "p2"}
    assert [one.query.get("cursor") for one in desk.provider.asked] == [None, "two", "two"]


def test_an_expired_cursor_begins_the_pass_again(desk: Desk) -> None:
    store = desk.open("rest")
    expired = said({"error": {"code": "cursor_expired"}}, 400)
    pages = [products("p1", cursor="two"), expired, products("p1", cursor="2"), products("p2")]
    desk.provider.route = rest(*pages)
    assert desk.attend(store).ended == Ended.SYNCED
    assert set(desk.shop.prices()) == {"p1", "p2"}


def test_a_cursor_that_never_ends_is_a_failure(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1", cursor="again"))
    desk.attend(store)
    assert desk.row(store).error == Kind.CURSOR_ENDLESS


def test_an_empty_catalogue_waits_for_a_person_who_approves_the_very_diff(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1", "p2"), products())
    desk.attend(store)
    desk.now += timedelta(days=1)
    desk.attend(store)
    row = desk.row(store)
    assert (row.condition, row.error) == (Condition.NEEDS_PERSON, Kind.SHRUNK)
    assert len(desk.shop.prices()) == 2
    assert desk.attend(store, approved="another").ended == Ended.FAILED
    assert len(desk.shop.prices()) == 2
    result = desk.attend(store, approved=row.diff)
    assert result.synced is not None
    assert result.synced.deleted == 2
    assert desk.row(store).condition == Condition.HEALTHY


def test_a_catalogue_that_is_whole_again_needs_nobody(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1", "p2"), products(), products("p1", "p2"))
    desk.attend(store)
    desk.now += timedelta(days=1)
    desk.attend(store)
    assert desk.row(store).condition == Condition.NEEDS_PERSON
    assert desk.attend(store).ended == Ended.SYNCED
    assert desk.row(store).condition == Condition.HEALTHY


def test_drift_of_more_than_a_twentieth_is_said_and_the_rest_is_written(desk: Desk) -> None:
    store = desk.open("rest")
    moment = "2026-11-20T10:00:00Z"
    good = [{"id": f"p{one}", "name": "Tent", "updated_at": moment} for one in range(10)]
    desk.provider.route = rest(said({"products": [*good, {"id": 7}], "next_cursor": None}))
    desk.attend(store)
    row = desk.row(store)
    assert (row.condition, row.error, row.detail) == ("degraded", "drift", "1 of 11 records")
    assert len(desk.shop.prices()) == 10
    assert row.data_as_of is None


def test_a_little_drift_is_set_aside(desk: Desk) -> None:
    store = desk.open("rest")
    moment = "2026-11-20T10:00:00Z"
    good = [{"id": f"p{one}", "name": "Tent", "updated_at": moment} for one in range(30)]
    desk.provider.route = rest(said({"products": [*good, {"id": 7}], "next_cursor": None}))
    result = desk.attend(store)
    assert result.synced is not None
    assert result.synced.drifted == 1


def test_with_redis_gone_no_sync_starts(desk: Desk) -> None:
    store = desk.open("rest")
    with redis.Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        tools = Tools(**{**vars(desk.tools), "client": nobody})
        with pytest.raises(SyncFailed) as caught:
            attend(tools, store)
    assert caught.value.kind == Kind.LIMIT_UNKNOWN
    assert desk.provider.asked == []
    assert desk.row(store).condition == Condition.HEALTHY


def test_a_check_says_what_is_wrong_and_changes_no_condition(desk: Desk) -> None:
    store = desk.open("rest")
    desk.provider.route = rest(products("p1"), status=Answer(403))
    found = check(desk.tools, store)
    assert found is not None
    assert found.kind == Kind.FORBIDDEN
    desk.provider.route = rest(products("p1"))
    assert check(desk.tools, store) is None
    assert desk.row(store).condition == Condition.HEALTHY
    assert desk.shop.prices() == {}


def test_no_secret_is_stored_in_clear(desk: Desk) -> None:
    store = desk.open("rest", held=TOKENS.with_answer(access_token=SecretStr("HUSH-HUSH")))
    sealed = desk.row(store).credentials
    assert sealed is not None
    assert b"HUSH-HUSH" not in sealed
    desk.provider.route = lambda _asked: Answer(401)
    desk.attend(store)
    assert "HUSH-HUSH" not in repr(vars(desk.row(store))) + repr(desk.steps(store))


def _http(tools: Tools, desk: Desk) -> Http:
    rules = Rules(
        provider="square",
        account="x",
        pace=CONNECTORS["square"].pace,
        clock=tools.clock,
        until=desk.now + timedelta(hours=1),
        private=tools.private,
    )
    return Http(desk.provider.url, rules, tools.limits)


def _settle_and_die(control: str, kiosks: str, redis_url: str, place: str) -> None:
    """A worker that is killed when its row says how the store is and the application's does not."""

    class Killed(SqlCatalog):
        def tell(self, store: str, status: str, data_as_of: str | None) -> None:  # noqa: ARG002 - it never gets there
            os.kill(os.getpid(), signal.SIGKILL)

    shop = SqlShop(SqlServer(kiosks), is_new=False)
    with redis.Redis.from_url(redis_url) as client:
        tools = Tools(
            state=Book(Database(control)),
            vault=RunKey.new(),
            client=client,
            catalogs={"sql": Killed(shop.writing)},
            clock=lambda: NOW + timedelta(hours=7),
            private=frozenset({place}),
        )
        attend(tools, "sql/1")


@pytest.mark.system
def test_what_a_killed_worker_did_not_tell_the_application_is_told_by_the_next_look(
    desk: Desk, sqlite_url: str, sqlite_shop_url: str, redis_url: str
) -> None:
    store = desk.open("rest")
    with desk.book.transaction() as session:
        session.get_one(PosStore, store).credentials = None
    place = desk.provider.place
    worker = get_context("spawn").Process(
        target=_settle_and_die, args=(sqlite_url, sqlite_shop_url, redis_url, place)
    )
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    row = desk.row(store)
    assert (row.untold, row.condition) == (True, Condition.NEEDS_PERSON)
    assert desk.shop.told() == (None, False)
    with desk.book.transaction() as session:
        (owed,) = due(session, NOW, failed=False)
    assert perform_one(desk.tools, owed.key, NOW).changed == 1
    assert desk.shop.told() == ("needs_person", False)
    assert not desk.row(store).untold
    with desk.book.transaction() as session:
        assert due(session, NOW, failed=False) == []
    assert desk.provider.asked == []


def test_the_application_is_told_what_changed_and_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = desk.open("rest")
    told: list[str] = []
    write = desk.shop.catalog.tell

    def telling(key: str, status: str, data_as_of: str | None) -> None:
        told.append(status)
        write(key, status, data_as_of)

    monkeypatch.setattr(desk.shop.catalog, "tell", telling)
    desk.provider.route = lambda _asked: Answer(404, b"{}")
    for _ in range(3):
        desk.attend(store)
    assert told == ["degraded", "error"]
    desk.provider.route = rest(products("p1"))
    for _ in range(2):
        desk.attend(store)
    assert told == ["degraded", "error", "healthy", "healthy"]


def test_of_two_that_tell_at_once_the_later_word_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was overtaken has written an old word: it is owed anew, and then told."""
    store = desk.open("rest")
    write = desk.shop.catalog.tell

    def overtaken(key: str, status: str, data_as_of: str | None) -> None:
        with desk.book.transaction() as session:
            session.get_one(PosStore, key).condition = "offline"
        write(key, status, data_as_of)

    with monkeypatch.context() as patch:
        patch.setattr(desk.shop.catalog, "tell", overtaken)
        tell(desk.tools, store)
    assert (desk.row(store).untold, desk.shop.told()[0]) == (True, "healthy")
    tell(desk.tools, store)
    assert (desk.row(store).untold, desk.shop.told()[0]) == (False, "offline")
