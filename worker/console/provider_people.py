"""Whom the login provider speaks of: their name here, their role, and their account there."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from worker.console.sessions import Proven
from worker.errors import LoginRefused, NoRole
from worker.identity import AT_PROVIDER, Role
from worker.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,58}")


def proven(settings: Settings, claims: Mapping[str, Any]) -> Proven:
    """Who this is. Raises `LoginRefused` for whoever has no name or no role."""
    name = _name(settings, claims)
    role = _role(settings, _values(claims, settings.oidc_role_claim))
    if role is None:
        raise NoRole(
            f"The login provider knows you as {name}, and none of the values of your claim "
            f"{settings.oidc_role_claim} gives a role here; ask an admin of Tend which one does.",
            name,
        )
    return Proven(name, role, "oidc", account=_account(claims))


def _name(settings: Settings, claims: Mapping[str, Any]) -> str:
    """Of an address only what stands before the @: what is on record names no mailbox."""
    said = claims.get(settings.oidc_name_claim)
    name = said.partition("@")[0].lower() if isinstance(said, str) else ""
    if not _NAME.fullmatch(name):
        raise LoginRefused(
            f"The login provider says no name in {settings.oidc_name_claim} that Tend can keep: 1 "
            "to 59 letters, digits, dots, hyphens and underscores; TEND_OIDC_NAME_CLAIM chooses "
            "another claim."
        )
    return f"{AT_PROVIDER}{name}"


def _role(settings: Settings, values: frozenset[str]) -> Role | None:
    """The highest that any of their values gives."""
    giving = {
        Role.VIEWER: settings.oidc_viewers,
        Role.OPERATOR: settings.oidc_operators,
        Role.APPROVER: settings.oidc_approvers,
        Role.ADMIN: settings.oidc_admins,
    }
    for role in reversed(Role):
        if values & {value.strip() for value in (giving[role] or "").split(",")} - {""}:
            return role
    return None


def _values(claims: Mapping[str, Any], path: str) -> frozenset[str]:
    """A claim of this very name, or what a dotted name leads to; nothing if it holds no text."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return frozenset(value for value in listed if isinstance(value, str))


def _account(claims: Mapping[str, Any]) -> str:
    """What stays theirs whatever they are called: the issuer's own name for them, as a digest."""
    whose = f"{claims['iss']}\n{claims['sub']}"
    return AT_PROVIDER + hashlib.sha256(whose.encode()).hexdigest()
