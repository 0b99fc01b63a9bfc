"""HTTP endpoints: status, shape of the body, response time, and how long the certificate lasts."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, cast

import httpx
from pydantic import AfterValidator, Field, StrictInt

from jobs.probe.endpoints import Endpoint, ask_all, each_once, is_public
from jobs.probe.shapes import Shape, misshapen
from jobs.probing import Look, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import ANSWERS, Check, Probe, ProbeOptions, Severity

REDIRECTS = 5
LARGEST = 1_000_000
_DAY = 86_400
_EXPIRED = 10
"""OpenSSL's code for a certificate whose time is over."""


class HttpEndpoint(Endpoint):
    """One address, and what it is expected to answer."""

    status: Annotated[StrictInt, Field(ge=100, le=599)] = 200
    body: Shape = "any"
    keys: tuple[str, ...] = ()


class HttpOptions(ProbeOptions):
    """Which endpoints, and from when on they are too slow."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            "status": Check(
                Severity.P1,
                "",
                "The endpoint answers, but not with the status it should: the application is up "
                "and something that it needs is not, or a proxy answers in its place.",
                "Ask it by hand with curl -i, then read the application's log of this moment.",
            ),
            "body": Check(
                Severity.P2,
                "",
                "The answer does not look as it should: clients cannot read it.",
                "Compare the body with the keys that the probe names, and see what was deployed.",
            ),
            "response_time": Check(
                Severity.P2,
                "ms",
                "People wait: the application, or something it asks, is slow.",
                "Look at the database's probes first, then at the application's CPU and its log.",
            ),
            "certificate": Check(
                Severity.P2,
                "days",
                "The certificate has expired, expires soon, or is not trusted: browsers and "
                "kiosks refuse the connection.",
                "Renew it, reload the proxy, and see why it was not renewed by itself.",
            ),
        }
    )
    endpoints: Annotated[tuple[HttpEndpoint, ...], AfterValidator(each_once)]
    answer_within: Duration = Field(default="5s", validate_default=True)
    response_ms: Annotated[StrictInt, Field(ge=1)] = 2_000
    certificate_days: Annotated[StrictInt, Field(ge=0)] = 14

    @property
    def is_empty(self) -> bool:
        return not self.endpoints


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    seconds: float
    expires: float | None
    """When the certificate ends, in seconds since the epoch; none without TLS."""


class _Refused(Exception):
    """An answer that is not followed or not read, which `check` is about."""

    def __init__(self, check: Literal["status", "body", "certificate"], says: str) -> None:
        super().__init__(says)
        self.check = check
        self.says = says


class HttpProbe:
    """Asks each endpoint once, over a connection of its own."""

    name: ClassVar[str] = "http"
    Options: ClassVar[type[ProbeOptions]] = HttpOptions
    each_host: ClassVar[bool] = False

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        return asyncio.run(_look(ctx, probe))


async def _look(ctx: ProbeContext, probe: Probe) -> Look:
    options = cast(HttpOptions, probe.options)
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(),
        timeout=None,  # noqa: S113 - httpx knows no deadline for the whole; each question has one
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    ) as client:

        async def one(endpoint: HttpEndpoint) -> Sequence[Reading]:
            return await _readings(client, endpoint, options, ctx.now)

        return await ask_all(options.endpoints, one, ctx, probe)


async def _readings(
    client: httpx.AsyncClient, endpoint: HttpEndpoint, options: HttpOptions, now: datetime
) -> Sequence[Reading]:
    """One reading for each check; what an error left unknown is not said to be well."""
    limit = options.answer_within.delta.total_seconds()
    try:
        async with asyncio.timeout(limit):
            answer = await _fetch(client, endpoint)
    except _Refused as refused:
        return _only(endpoint, refused.check, refused.says)
    except TimeoutError:
        return _only(endpoint, ANSWERS, f"no answer within {limit:g} s")
    except (httpx.HTTPError, OSError) as error:
        untrusted = _untrusted(error)
        if untrusted is not None:
            return _only(endpoint, "certificate", untrusted)
        return _only(endpoint, ANSWERS, f"no connection ({type(error).__name__})")
    return _judged(endpoint, options, answer, now)


def _only(endpoint: HttpEndpoint, check: str, says: str) -> Sequence[Reading]:
    """What stopped the question; of the other checks nothing is known."""
    cause = endpoint.shared if check == ANSWERS else endpoint.place
    unknown = [each for each in HttpOptions.CHECKS if each != check]
    answers = [Reading(endpoint.subject, ANSWERS, False)] if check != ANSWERS else []
    return [
        Reading(endpoint.subject, check, True, says, cause=cause),
        *answers,
        *(Reading(endpoint.subject, each, None) for each in unknown if each != ANSWERS),
    ]


def _judged(
    endpoint: HttpEndpoint, options: HttpOptions, answer: _Answer, now: datetime
) -> Sequence[Reading]:
    subject, took = endpoint.subject, 1000 * answer.seconds
    expected = answer.status == endpoint.status
    shape = misshapen(answer.body, endpoint.body, endpoint.keys) if expected else None
    readings = [
        Reading(subject, ANSWERS, False),
        Reading(subject, "status", not expected, f"status {answer.status}"),
        Reading(subject, "body", shape is not None if expected else None, shape or ""),
        Reading(
            subject, "response_time", took > options.response_ms, f"{took:,.0f} ms", round(took, 1)
        ),
    ]
    if answer.expires is not None:
        days = (answer.expires - now.timestamp()) / _DAY
        says = f"the certificate ends in {days:.0f} days"
        ends = days < options.certificate_days
        place = endpoint.place
        readings.append(Reading(subject, "certificate", ends, says, round(days, 1), place))
    return readings


async def _fetch(client: httpx.AsyncClient, endpoint: HttpEndpoint) -> _Answer:
    started = time.monotonic()
    request = client.build_request("GET", endpoint.url)
    for _ in range(REDIRECTS + 1):
        response = await client.send(request, stream=True)
        try:
            following = response.next_request
            if following is not None and endpoint.status != response.status_code:
                await _must_be_followed(following.url, httpx.URL(endpoint.url))
                request = following
                continue
            body = await _body(response)
            return _Answer(
                response.status_code, body, time.monotonic() - started, _expires(response)
            )
        finally:
            await response.aclose()
    raise _Refused("status", f"more than {REDIRECTS} redirects")


async def _must_be_followed(url: httpx.URL, declared: httpx.URL) -> None:
    """Whoever redirects must not make Tend knock at doors inside its own network."""
    if (url.host, url.port) == (declared.host, declared.port):
        return
    port = url.port or (443 if url.scheme == "https" else 80)
    if url.scheme not in {"http", "https"} or not await is_public(url.host, port):
        raise _Refused("status", "it redirects into a private network, which is not followed")


async def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > LARGEST:
            raise _Refused("body", "the body is larger than a megabyte")
    return bytes(body)


def _expires(response: httpx.Response) -> float | None:
    stream: Any = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = secured.getpeercert() if secured is not None else None
    return ssl.cert_time_to_seconds(certificate["notAfter"]) if certificate else None


def _untrusted(error: BaseException | None) -> str | None:
    """What is wrong with the certificate, if that is what the error came from."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            expired = error.verify_code == _EXPIRED
            return "the certificate has expired" if expired else f"{error.verify_message}"
        error = error.__cause__ or error.__context__
    return None
