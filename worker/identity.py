"""Who causes a change, how that is known, and what their role is."""

import getpass
import socket
from dataclasses import dataclass
from enum import StrEnum

DEVELOPMENT = "development"
"""The one environment in which a claimed identity may decide what elsewhere takes a token."""

AT_PROVIDER = "oidc:"
"""Begins the name of whom the login provider let in: no user, token or account is called so."""


class Role(StrEnum):
    """What a token allows; each role may do all that those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True)
class Actor:
    """Who acts, how that is known, and for whom they say they act."""

    name: str
    proof: str
    """claimed, token or session."""
    on_behalf_of: str | None = None
    token: str | None = None
    """The id of what proves the name: a token such as t-17, a console session such as s-4."""
    role: Role | None = None
    """The token's or the session's; a claimed identity has none."""
    account: str | None = None
    """The operating-system user and host at which a person acts, or theirs at the provider."""


def claimed(on_behalf_of: str | None = None) -> Actor:
    """The operating-system user of this process, which nobody has verified."""
    name = account()
    return Actor(name, "claimed", on_behalf_of, account=name)


def service(kind: str) -> Actor:
    """Tend itself: the scheduler or a worker."""
    return Actor(f"tend-{kind}", "claimed")


def bare(name: str) -> str:
    """A name as it would be if its person had logged in here, and not at the provider."""
    return name.removeprefix(AT_PROVIDER)


def account() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
