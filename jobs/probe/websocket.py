"""WebSocket channels of kiosks: do they open, speak, and deliver what is sent; and how quickly."""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, StrictInt
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from jobs.probe import cable
from jobs.probe.cable import Silent
from jobs.probe.endpoints import Endpoint, ask_all, each_once
from jobs.probing import Look, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import ANSWERS, Check, Probe, ProbeOptions, Severity

LARGEST = 100_000


class WebSocketEndpoint(Endpoint):
    """One kiosk's channel."""

    identifier: Mapping[str, str] = Field(default_factory=dict)


class WebSocketOptions(ProbeOptions):
    """Which channels, how they speak, and what is sent to see whether it arrives."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            ANSWERS: Check(
                Severity.P1,
                "",
                "The kiosk's channel does not open, does not speak, or is dropped: the kiosk "
                "shows what it has stored and sends nothing.",
                "If every kiosk of a store is silent, call the store: power and network. If all "
                "stores are, look at the application's WebSocket process, its Redis and the proxy.",
            ),
            "round_trip": Check(
                Severity.P2,
                "ms",
                "The channel is open and slow: kiosks react late.",
                "Look at the load of the WebSocket process and of its Redis.",
            ),
            "delivery": Check(
                Severity.P1,
                "",
                "The channel is open, but what is sent through it does not arrive.",
                "Look at the application's Redis, through which messages go, and restart the "
                "WebSocket process if it lost its subscription there.",
            ),
        }
    )
    endpoints: Annotated[tuple[WebSocketEndpoint, ...], AfterValidator(each_once)]
    protocol: Literal["plain", "actioncable"] = "plain"
    answer_within: Duration = Field(default="10s", validate_default=True)
    round_trip_ms: Annotated[StrictInt, Field(ge=1)] = 1_000
    send: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self.endpoints


class WebSocketProbe:
    """Opens each channel, speaks its protocol once, and closes it."""

    name: ClassVar[str] = "websocket"
    Options: ClassVar[type[ProbeOptions]] = WebSocketOptions
    each_host: ClassVar[bool] = False

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        return asyncio.run(_look(ctx, probe))


async def _look(ctx: ProbeContext, probe: Probe) -> Look:
    options = cast(WebSocketOptions, probe.options)
    trust = ssl.create_default_context()

    async def one(endpoint: WebSocketEndpoint) -> Sequence[Reading]:
        return await _readings(endpoint, options, trust)

    return await ask_all(options.endpoints, one, ctx, probe)


async def _readings(
    endpoint: WebSocketEndpoint, options: WebSocketOptions, trust: ssl.SSLContext
) -> Sequence[Reading]:
    limit = options.answer_within.delta.total_seconds()
    is_open = False
    try:
        async with asyncio.timeout(limit), _opened(endpoint, options, trust) as connection:
            if options.protocol == "actioncable":
                await cable.subscribe(connection, endpoint.identifier)
            is_open = True
            took = await _round_trip(connection, endpoint, options)
    except (TimeoutError, Silent) as silent:
        if is_open and options.send is not None and not str(silent):
            return _undelivered(endpoint, limit)
        what = str(silent) or f"it says nothing that it should within {limit:g} s"
        return _silent(endpoint, what)
    except ConnectionClosed as closed:
        code = closed.rcvd.code if closed.rcvd else "none"
        return _silent(endpoint, f"it dropped the connection, code {code}")
    except (WebSocketException, OSError) as error:
        return _silent(endpoint, f"no connection ({type(error).__name__})")
    slow = took > options.round_trip_ms
    return [
        Reading(endpoint.subject, ANSWERS, False, cause=endpoint.shared),
        Reading(endpoint.subject, "delivery", False),
        Reading(endpoint.subject, "round_trip", slow, f"{took:,.0f} ms", round(took, 1)),
    ]


def _opened(
    endpoint: WebSocketEndpoint, options: WebSocketOptions, trust: ssl.SSLContext
) -> connect:
    spoken = [Subprotocol(cable.PROTOCOL)] if options.protocol == "actioncable" else None
    return connect(
        endpoint.url,
        ssl=trust if endpoint.url.startswith("wss:") else None,
        subprotocols=spoken,
        compression=None,
        ping_interval=None,
        open_timeout=None,  # the deadline around it is for the whole
        close_timeout=1,
        max_size=LARGEST,
        proxy=None,
        user_agent_header="tend",
    )


async def _round_trip(
    connection: ClientConnection, endpoint: WebSocketEndpoint, options: WebSocketOptions
) -> float:
    """Milliseconds from sending something to having it back."""
    started = time.monotonic()
    if options.protocol == "actioncable":
        if options.send is not None:
            await cable.deliver(connection, endpoint.identifier, options.send)
        else:
            await cable.ping(connection)
            started = time.monotonic()  # the server pings by its own clock
            await (await connection.ping())
    elif options.send is not None:
        await connection.send(options.send)
        while options.send not in str(await connection.recv(decode=True)):
            pass
    else:
        await (await connection.ping())
    return 1000 * (time.monotonic() - started)


def _silent(endpoint: WebSocketEndpoint, says: str) -> Sequence[Reading]:
    return [
        Reading(endpoint.subject, ANSWERS, True, says, cause=endpoint.shared),
        Reading(endpoint.subject, "delivery", None),
        Reading(endpoint.subject, "round_trip", None),
    ]


def _undelivered(endpoint: WebSocketEndpoint, limit: float) -> Sequence[Reading]:
    says = f"what was sent did not come back within {limit:g} s"
    return [
        Reading(endpoint.subject, ANSWERS, False, cause=endpoint.shared),
        Reading(endpoint.subject, "delivery", True, says, cause=endpoint.shared),
        Reading(endpoint.subject, "round_trip", None),
    ]
