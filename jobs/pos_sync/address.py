"""Where a request may go: to the store's declared host and nowhere else."""

import asyncio
import ipaddress
import re
import socket
from urllib.parse import urlsplit

from jobs.pos_sync.failures import Kind, SyncFailed

_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.myshopify\.com")
_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")


def shop_url(domain: str) -> str:
    """The address of a Shopify shop by its domain; anything but a plain one is refused."""
    if not _SHOP.fullmatch(domain):
        raise SyncFailed(
            Kind.HOST_REFUSED, "shop domain", "write it as name.myshopify.com, without https://"
        )
    return f"https://{domain}"


def store_url(url: str, private: frozenset[str] = frozenset()) -> str:
    """The address of a store, without a trailing slash.

    It begins with https:// and a public name. What `private` lists as `host:port` may be plain
    http and lie in the shop's own network.
    """
    try:
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    except ValueError:
        raise _refused("it is no URL") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise _refused("it may hold no login, query or fragment")
    if place in private and parts.scheme in ("http", "https"):
        return url.rstrip("/")
    if parts.scheme != "https":
        raise _refused("it must begin with https://")
    if not _HOST.fullmatch(parts.hostname or ""):
        raise _refused("it must name a public host")
    return url.rstrip("/")


async def must_be_public(host: str, port: int) -> None:
    """Refuse a name that leads into a private network.

    A name that changes between this look and the connection gains nothing: TLS asks the host for
    its certificate.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SyncFailed(Kind.UNREACHABLE, host) from error
    for *_, address in found:
        if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
            raise SyncFailed(Kind.HOST_REFUSED, host, "it leads into a private network")


def _refused(why: str) -> SyncFailed:
    return SyncFailed(Kind.HOST_REFUSED, "the store's address", why)
