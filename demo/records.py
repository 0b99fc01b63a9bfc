"""Users, stores, sessions, OAuth states, audit logs, forecasts as OrderNimbus keeps them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

Document = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """Makes the records around the sales, with ages counted back from `now`."""

    random: Random
    now: datetime
    users: list[ObjectId]
    closed: list[ObjectId]
    """Accounts whose grace is over."""
    vanished: list[ObjectId]
    """Accounts that do not exist."""
    stores: list[ObjectId]

    def user(self, number: int, user: ObjectId) -> Document:
        return {
            "_id": user,
            "email": f"household-{number}@example.com",
            "role": "user",
            "permissions": ["sales:read"],
            "isActive": True,
            "isLocked": False,
            "lockedAt": None,
            "lockedUntil": None,
            "lastLogin": self.now - self._between(timedelta(hours=1), timedelta(days=30)),
            "deletedAt": None,
        }

    def closed_account(self, number: int, user: ObjectId, kind: str) -> Document:
        """One that somebody deleted, by now for good or still within its grace."""
        low, high = (31, 400) if kind == "accounts_closed" else (1, 29)
        deleted = self.now - self._between(timedelta(days=low), timedelta(days=high))
        account = self.user(number, user)
        return {**account, "isActive": False, "lastLogin": deleted, "deletedAt": deleted}

    def store(self, number: int, store: ObjectId) -> Document:
        return {
            "_id": store,
            "platform": ("shopify", "amazon", "csv")[number % 3],
            "shopDomain": f"store-{number}.example.com",
            "credentials": {"accessToken": f"demo-{self.random.getrandbits(64):016x}"},
            "syncState": {"status": "ok", "lastSyncedAt": self.now - timedelta(hours=number % 4)},
        }

    def of_kind(self, kind: str) -> Document:
        """One session, OAuth state or audit log of this kind."""
        if kind.startswith("sessions"):
            return self._session(kind)
        if kind.startswith("oauth_states"):
            return self._oauth_state(kind)
        if kind.startswith("forecasts"):
            return self._forecast(kind)
        return self._audit_log(kind)

    def _session(self, kind: str) -> Document:
        if kind == "sessions_expired":
            expires = self.now - self._between(timedelta(minutes=1), timedelta(days=60))
        else:
            expires = self.now + self._between(timedelta(hours=1), timedelta(days=7))
        return {
            "sessionId": f"{self.random.getrandbits(128):032x}",
            "userId": self.random.choice(self.users),
            "isActive": kind != "sessions_inactive",
            "expiresAt": expires,
            "lastActivity": expires - timedelta(days=7),
        }

    def _oauth_state(self, kind: str) -> Document:
        if kind == "oauth_states_old":
            age = self._between(timedelta(minutes=11), timedelta(days=30))
        else:
            age = self._between(timedelta(0), timedelta(minutes=3))
        return {"state": f"{self.random.getrandbits(128):032x}", "timestamp": self.now - age}

    def _audit_log(self, kind: str) -> Document:
        seven_years_ago = _seven_years_before(self.now)
        if kind == "audit_logs_old":
            moment = seven_years_ago - self._between(timedelta(days=1), timedelta(days=700))
        elif kind == "audit_logs_leap":
            moment = seven_years_ago + self._between(timedelta(hours=3), timedelta(hours=23))
        else:
            moment = self.now - self._between(timedelta(0), timedelta(days=7 * 365 - 1))
        action = self.random.choice(("login", "export", "settings_changed"))
        details = {"userId": self.random.choice(self.users)}
        return {"action": action, "details": details, "timestamp": moment}

    def _forecast(self, kind: str) -> Document:
        owners = {"forecasts_closed": self.closed, "forecasts_sound": self.users}
        if kind == "forecasts_fresh":
            age = self._between(timedelta(0), timedelta(minutes=10))
        else:
            age = self._between(timedelta(days=1), timedelta(days=700))
        return {
            "userId": self.random.choice(owners.get(kind, self.vanished)),
            "storeId": self.random.choice(self.stores),
            "createdAt": self.now - age,
        }

    def _between(self, low: timedelta, high: timedelta) -> timedelta:
        return low + (high - low) * self.random.random()


def _seven_years_before(now: datetime) -> datetime:
    try:
        return now.replace(year=now.year - 7)
    except ValueError:  # 29 February: no year seven before a leap year is one
        return now.replace(year=now.year - 7, day=28)
