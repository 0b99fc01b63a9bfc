"""What opens a store is typed unseen, outlives a change of keys, and is told to nobody."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import sentry_sdk
import structlog
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select

from jobs.pos_sync.connectors.rest import Rest
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.products import Page
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.transport import Http
from tests.jobs.pos_sync.desk import Desk
from tests.jobs.pos_sync.provider import Answer, Asked, said
from tests.jobs.pos_sync.test_commands import (
    BECAUSE,
    bare,
    logging_as_it_was,
    tend,
    type_in,
    unmigrated,
)
from tests.worker.cli.conftest import Tend
from tests.worker.cli.terminal import Terminal
from tests.worker.test_logs import Kept
from worker import sentry, vault
from worker.database import Database
from worker.keys import Keyring
from worker.logs import configure
from worker.settings import Settings

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]

SECRETS = {
    "access_token": "access-4711",
    "refresh_token": "refresh-4712",
    "client_id": "client-4713",
    "client_secret": "secret-4714",
}


@pytest.mark.system
def test_what_is_typed_at_the_prompt_is_not_shown(tend: Tend) -> None:
    with Terminal(tend, "pos", "credentials", "set", "Camp", *BECAUSE) as terminal:
        terminal.wait_for("Credentials, a JSON object with access_token: ")
        terminal.type(json.dumps({"access_token": "HUSH"}) + "\n")
        assert terminal.end() == 0, terminal.shown
    assert "mongo/1 is synced: 1 records" in terminal.shown
    assert "HUSH" not in terminal.shown
    assert tend.shop.products.count_documents({"storeId": "1"}) == 1


def sealed(control: Database) -> bytes:
    with control.transaction() as session:
        kept = session.scalars(select(PosStore.credentials).where(PosStore.key == "mongo/1")).one()
    assert kept is not None
    return kept


def test_credentials_outlive_a_rotation_of_keys(tend: Tend) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    tend.setting("TEND_KEYS", old)
    type_in(tend, "HUSH")
    assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
    with closing(Database(Settings.load().need("database_url"))) as control:
        before = sealed(control)
        tend.setting("TEND_KEYS", f"{new},{old}")
        assert tend("pos", "check", "Camp", *BECAUSE).code == 0
        type_in(tend, "HUSH")
        assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
        assert sealed(control) != before
        vault.renew(control, Keyring(f"{new},{old}"))
    tend.setting("TEND_KEYS", new)
    assert tend("pos", "check", "Camp", *BECAUSE).code == 0
    tend.setting("TEND_KEYS", old)
    ended = tend("pos", "check", "Camp", *BECAUSE)
    assert (ended.code, "None of the keys in TEND_KEYS" in ended.err) == (1, True)


@pytest.fixture
def kept() -> Iterator[Kept]:
    """What would have been sent to Sentry by a worker that logs as workers do."""
    configure(Settings(log="json"))
    with sentry_sdk.isolation_scope():
        dsn = SecretStr("https://key@127.0.0.1/1")
        sentry.start(Settings(env="staging", sentry_dsn=dsn), "worker")
        client, kept = sentry_sdk.get_client(), Kept()
        assert client.transport is not None
        client.transport.kill()
        client.transport = kept
        yield kept
        client.close()
        sentry_sdk.get_global_scope().set_client(None)


def test_no_secret_of_a_store_reaches_sentry(
    desk: Desk, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by what a provider echoes, nor by an error that nobody foresaw."""
    named = {name: SecretStr(text) for name, text in SECRETS.items()}
    store = desk.open("rest", held=Credentials(**named))
    log = structlog.get_logger("tend")

    def echoing(asked: Asked) -> Answer:
        return said({"products": [{"id": dict(asked.headers)}], "next_cursor": None})

    desk.provider.route = echoing
    failed = desk.attend(store).failed
    assert failed is not None
    log.error("chunk failed", store=store, why=str(failed), exc_info=failed)

    def breaking(_self: Rest, _http: Http, held: Credentials, *_: Any) -> Page:
        raise RuntimeError(f"cannot use {held.model_dump()}")

    monkeypatch.setattr(Rest, "page", breaking)
    try:
        desk.attend(store)
    except RuntimeError:
        log.exception("chunk failed", store=store, held=Credentials(**named).model_dump())
    events = [sent for sent in kept.sent if "chunk failed" in sent]
    assert ["SyncFailed" in events[0], "RuntimeError" in events[1]] == [True, True]
    assert [text for text in SECRETS.values() for sent in kept.sent if text in sent] == []
