"""What else goes on at a site, so that every page of the console has something to show."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from demo.tend import CommandFailed, command

ATTACKED, TRIES = 3, 6
ADDRESSES = ("203.0.113.7", "198.51.100.23", "2001:db8:7:1::9")
ILL = 4
WHY = ("--reason", "the demonstration")
Shop = Database[dict[str, Any]]


def happen(environment: Mapping[str, str], shop: Shop) -> str:
    """Accounts are attacked and stores stop syncing; returns the plan that waits for somebody."""
    _attack(environment, shop)
    _fail(environment, shop)
    planned: str = command(environment, "plan", "session-cleanup", *WHY)["id"]
    return planned


def _attack(environment: Mapping[str, str], shop: Shop) -> None:
    """Failed logins, which lock accounts and block addresses; one of them is released again."""
    users = list(shop.users.find({"isActive": True}, ["email"]).limit(ATTACKED))
    begin = datetime.now(UTC) - timedelta(minutes=2)
    shop.loginevents.create_index("timestamp")
    shop.loginevents.insert_many(
        [
            {
                "username": user["email"],
                "ipAddress": address,
                "outcome": "failure",
                "timestamp": begin + timedelta(seconds=9 * number),
            }
            for user, address in zip(users, ADDRESSES, strict=True)
            for number in range(TRIES)
        ]
    )
    command(environment, "run", "login-lockout", "--yes", "--wait", *WHY)
    command(environment, "lockout", "release", str(users[0]["_id"]), "--with-addresses", *WHY)


def _fail(environment: Mapping[str, str], shop: Shop) -> None:
    """Some stores are asked though nobody has set what opens them: they need a person."""
    ours = shop.stores.find({"platform": {"$ne": "csv"}}, ["_id"]).limit(ILL)
    for store in ours:
        with suppress(CommandFailed):  # it is checked, and says that it does not work
            command(environment, "pos", "sync", f"mongo/{store['_id']}", *WHY)
