"""The API over everything that Tend has: a control database, a shop, Redis, and tokens."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.worker.cli.conftest import Tend, bare, logging_as_it_was, tend, unmigrated
from tests.worker.console.conftest import Answer, ask, serving
from worker import advance, bootstrap, tokens
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.identity import Actor, Role
from worker.operations import Person
from worker.settings import Settings
from worker.states import UNFINISHED

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
ADMIN = Person(Actor("root", "token", role=Role.ADMIN), "a test")
WHY = {"reason": "OPS-1: a test"}
SEED = "VGVuZCB0ZXN0cyBzaWduIHdpdGggdGhlc2UgMzIgYnk="


@dataclass(frozen=True)
class Api:
    """The API of a console in this process, and somebody of each role."""

    tend: Tend
    database: Database
    settings: Settings
    port: int
    tokens: Mapping[str, str]

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        as_: str = "operator",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.tokens[as_]}"} if as_ else {}
        text = None if body is None else json.dumps(body)
        if text is not None:
            sent["Content-Type"] = "application/json"
        return ask(self.port, f"/api/v1{path}", method, text, {**sent, **(headers or {})})

    def get(self, path: str, as_: str = "viewer") -> dict[str, Any]:
        answer = self("GET", path, as_=as_)
        assert answer.status == 200, answer.body
        return answer.json

    def does(self, path: str, as_: str = "operator", **body: Any) -> dict[str, Any]:
        """A change that is accepted."""
        answer = self("POST", path, {**WHY, **body}, as_=as_)
        assert answer.status in (200, 202), answer.body
        return answer.json

    def work(self, run: str) -> dict[str, Any]:
        """What a worker does when it is woken: as much as there is to do."""
        run_id = int(run.removeprefix("r-"))
        with closing(bootstrap.open_engine(self.settings, self.database)) as engine:
            for _ in range(50):
                advance.advance(engine, run_id, seconds=300)
                found = self.get(f"/runs/{run}")
                if found["state"] not in UNFINISHED:
                    return found
        raise AssertionError(f"{run} is still {found['state']}")


def token_of(database: Database, name: str, role: Role) -> str:
    return tokens.create(database, name, role, timedelta(days=1), ADMIN).text


@pytest.fixture
def site(tend: Tend) -> Tend:
    """Settings as in production: an environment where nobody is taken at their word."""
    tend.setting("TEND_ENV", "staging")
    tend.setting("TEND_KEYS", Fernet.generate_key().decode())
    tend.setting("TEND_AUDIT_KEYS", SEED)
    return tend


@pytest.fixture
def api(site: Tend) -> Iterator[Api]:
    settings = Settings.load()
    with closing(Database(settings.need("database_url"))) as database:
        made = {str(role): token_of(database, f"{role}-1", role) for role in Role}
        made["another"] = token_of(database, "approver-2", Role.APPROVER)
        here = Installation(settings, database, Readiness(database))
        with serving(here) as port:
            yield Api(site, database, settings, port, made)
