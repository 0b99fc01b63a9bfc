"""Who causes a change: the operating-system user and host, until tokens prove more."""

import getpass
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts, how that is known, and for whom they say they act."""

    name: str
    proof: str
    on_behalf_of: str | None = None


def claimed(on_behalf_of: str | None = None) -> Actor:
    """The operating-system user of this process, which nobody has verified."""
    return Actor(f"{getpass.getuser()}@{socket.gethostname()}", "claimed", on_behalf_of)


def service(kind: str) -> Actor:
    """Tend itself: the scheduler or a worker."""
    return Actor(f"tend-{kind}", "claimed")
