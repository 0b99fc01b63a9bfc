"""The endpoints of a probe: each has a name, an address, and a deadline for the whole of it."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from jobs.probing import Look, ProbeContext, Reading
from policies.probes import Probe
from policies.selectors import Vocabulary

AT_ONCE = 200
"""Connections that one look has open: a process may have some thousand files open in all."""
APART = 0.05
"""Seconds between two questions at most, where a look spreads them."""
RESERVED = 0.5
"""Seconds of a probe's time in which what was seen is told."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,47}$")]


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL") from None
    if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname or port == 0:
        raise ValueError(
            "write a URL with its scheme and host, such as https://shop.example/health"
        )
    if parts.username or parts.password:
        raise ValueError("a policy is read by many; leave the login out of the URL")
    return url


Address = Annotated[str, AfterValidator(_address)]


class Endpoint(Vocabulary):
    """One address to ask."""

    name: Name
    url: Address
    store: Name | None = None

    @property
    def subject(self) -> str:
        return self.name if self.store is None else f"{self.store}/{self.name}"

    @property
    def place(self) -> str:
        """Host and port: what several endpoints are out of reach together with."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def shared(self) -> str:
        """What is wrong when several endpoints fall silent together: their store, or their host."""
        return self.place if self.store is None else f"store {self.store}"


def each_once(endpoints: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """Raises where two endpoints have one name: their history would be one."""
    subjects = [each.subject for each in endpoints]
    twice = next((name for name in subjects if subjects.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"there are two endpoints called {twice}; give each a name of its own")
    return endpoints


class _Located(Protocol):
    @property
    def subject(self) -> str: ...


Asked = TypeVar("Asked", bound=_Located)
Ask = Callable[[Asked], Awaitable[Sequence[Reading]]]


async def ask_all(
    endpoints: Sequence[Asked], ask: Ask[Asked], ctx: ProbeContext, probe: Probe
) -> Look:
    """Ask all of them beside one another, as many as can be within the probe's time."""
    places = asyncio.Semaphore(AT_ONCE)
    apart = min(APART, ctx.spread / max(1, len(endpoints)))

    async def one(number: int, endpoint: Asked) -> Sequence[Reading]:
        await asyncio.sleep(apart * number)
        async with places:
            return await ask(endpoint)

    tasks = [asyncio.create_task(one(*each)) for each in enumerate(endpoints)]
    if not tasks:
        return Look(())
    done, late = await asyncio.wait(tasks, timeout=probe.seconds - RESERVED)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    readings = [reading for task in tasks if task in done for reading in task.result()]
    remarks = ("Not every endpoint was asked in time: give it longer.",) if late else ()
    return Look(readings, remarks, is_whole=not late)


async def is_public(host: str, port: int) -> bool:
    """Whether a name leads nowhere but into the public network."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]).partition("%")[0] for *_, address in found]
    return all(ipaddress.ip_address(each).is_global for each in addresses)
