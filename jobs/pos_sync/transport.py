"""Requests to one host: paced, with a total deadline, tried again within a budget, judged.

httpx alone has no deadline for a whole request: a server that drips a byte every few seconds
holds it for ever. So requests are asynchronous inside, under one `asyncio.timeout`, and plain
calls outside. Redirects are never followed.
"""

import asyncio
import json
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Self

import httpx
import stamina

from jobs.pos_sync import retry_after
from jobs.pos_sync.address import must_be_public
from jobs.pos_sync.failures import CLASSES, Kind, SyncFailed, of_answer, of_error
from jobs.pos_sync.limits import Lane, Limits, Pace

ATTEMPTS = 4
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LARGEST = 32 * 2**20


@dataclass(frozen=True)
class Rules:
    """What holds for all requests of one sync."""

    provider: str
    account: str
    """Whose limit it is: the requests of one account are counted together, over all workers."""
    pace: Pace
    clock: Callable[[], datetime]
    until: datetime
    """The next scheduled sync: no attempt and no wait goes past it."""
    total_seconds: float = 30.0
    connect_seconds: float = 5.0
    attempts: int = ATTEMPTS
    longest_turn: float | None = None
    """The longest wait for the turn of a request, in seconds, if it is not all that is left."""
    private: frozenset[str] = frozenset()
    """Each a `host:port` that may lie in a private network."""

    @property
    def seconds_left(self) -> float:
        return max(0.0, (self.until - self.clock()).total_seconds())

    @property
    def turn_seconds(self) -> float:
        left = self.seconds_left
        return left if self.longest_turn is None else min(left, self.longest_turn)


@dataclass
class Http:
    """A connection to one declared host; use it in a `with`, which resets it at the end."""

    base: str
    rules: Rules
    limits: Limits
    observe: Callable[[Any], float] = lambda _document: 0.0
    """Told every document, answers with seconds for which the account should rest."""
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner, init=False, repr=False)
    _client: httpx.AsyncClient | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._runner.run(self._client.aclose())
            self._client = None
        self._runner.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        again: bool = True,
        lane: Lane | None = None,
    ) -> Any:
        """The parsed answer; raises `SyncFailed` for everything that is none.

        With `again=False` it is asked only once: a lost answer to a token refresh, for one, must
        not be asked for twice without a look at what came of it. A `lane` has a pace of its own
        beside the account's.
        """
        request = httpx.Request(
            method, self._url(path), headers=headers, params=params, json=body, data=form
        )
        attempts = self.rules.attempts if again else 1
        tries = _Tries(self.rules, self.limits)
        for attempt in stamina.retry_context(
            on=tries.wait, attempts=attempts, timeout=self.rules.seconds_left
        ):
            with attempt:
                return self._once(request, lane)
        raise AssertionError("stamina returns or raises")

    def _once(self, request: httpx.Request, lane: Lane | None) -> Any:
        rules = self.rules
        if lane is not None:
            self.limits.take(f"{rules.account}/{lane.name}", lane.pace, rules.turn_seconds)
        self.limits.take(rules.account, rules.pace, rules.turn_seconds)
        try:
            status, headers, body = self._runner.run(self._fetch(request))
        except SyncFailed:
            raise
        except Exception as error:
            raise SyncFailed(of_error(error), self._where) from error
        document = _parsed(body)
        kind = of_answer(status, document)
        wait = self.observe(document)
        if kind is Kind.THROTTLED:
            wait = max(wait, self._asked_wait(headers, wait))
        if wait > 0:
            self.limits.pause(rules.account, wait)
        if kind is not None:
            raise SyncFailed(kind, self._where, f"status {status}", wait or None)
        if document is None:
            raise SyncFailed(Kind.NOT_JSON, self._where, f"status {status}")
        return document

    def _asked_wait(self, headers: httpx.Headers, known: float) -> float:
        """What the header asks for; without one, what the body said does as well."""
        said = headers.get("retry-after") or headers.get("x-amzn-ratelimit-reset")
        if said is None and known > 0:
            return known
        return retry_after.seconds(said, self.rules.clock())

    async def _fetch(self, request: httpx.Request) -> tuple[int, httpx.Headers, bytes]:
        async with asyncio.timeout(min(self.rules.total_seconds, self.rules.seconds_left)):
            host, port = request.url.host, request.url.port or _port(request.url.scheme)
            if f"{host}:{port}" not in self.rules.private:
                await must_be_public(host, port)
            if self._client is None:
                self._client = httpx.AsyncClient(
                    timeout=httpx.Timeout(
                        self.rules.total_seconds, connect=self.rules.connect_seconds
                    ),
                    verify=_trusted(),
                    follow_redirects=False,
                    trust_env=False,
                )
            response = await self._client.send(request, stream=True)
            try:
                return response.status_code, response.headers, await self._body(response)
            finally:
                await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LARGEST:
                raise SyncFailed(Kind.TOO_LARGE, self._where)
        return bytes(body)

    def _url(self, path: str) -> str:
        if not path.startswith("/") or "//" in path or ".." in path:
            raise SyncFailed(Kind.HOST_REFUSED, self._where, "the path leads elsewhere")
        return f"{self.base}{path}"

    @property
    def _where(self) -> str:
        return httpx.URL(self.base).host


@dataclass
class _Tries:
    """When the next attempt of one request may be made, if it may."""

    rules: Rules
    limits: Limits
    made: int = 0

    def wait(self, error: Exception) -> bool | float:
        if not isinstance(error, SyncFailed):
            return False
        action = CLASSES[error.kind].action
        if action not in ("retry", "pause"):
            return False
        self.made += 1
        if self.made >= self.rules.attempts:
            return False
        wait = error.wait or 0.0
        if action == "retry":
            ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2.0**self.made)
            wait = random.uniform(0, ceiling)  # noqa: S311 - jitter is no secret
        if wait >= self.rules.seconds_left or not self.limits.may_retry(self.rules.provider):
            return False
        return 0.0 if action == "pause" else wait  # a pause is waited for with the turn


@cache
def _trusted() -> ssl.SSLContext:
    """One for all connections: reading the authorities costs more than the rest of an attempt."""
    return httpx.create_ssl_context(trust_env=False)


def _parsed(body: bytes) -> Any:
    """The document with prices as decimals; None for what is no JSON."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
