"""What a sync asks of a provider."""

from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.limits import Pace
from jobs.pos_sync.products import Page
from jobs.pos_sync.transport import Http


class Connector(Protocol):
    """One provider; it raises `SyncFailed` for whatever is no answer."""

    name: ClassVar[str]
    called: ClassVar[str]
    """By the people in the shop."""
    pace: ClassVar[Pace]
    every: ClassVar[timedelta]
    """How often its stores are synced."""
    needs: ClassVar[tuple[str, ...]]
    """The credentials without which it cannot be asked."""
    api_dies: ClassVar[datetime | None]
    """When the provider ends the version of its API that is spoken here."""
    steps: ClassVar[str]
    """What a person does when its authorisation is gone, to be sent to the shop."""

    def address(self, declared: str, private: frozenset[str]) -> str:
        """Where its requests go, from what the store declares."""

    def observe(self, document: Any) -> float:
        """Seconds that the account should rest after this answer."""

    def check(self, http: Http, held: Credentials) -> None:
        """Ask for as little as proves the connection and the permissions."""

    def page(
        self, http: Http, held: Credentials, cursor: str | None, since: datetime | None
    ) -> Page:
        """A page of what changed `since`, or of everything."""

    def token_address(self, address: str) -> str:
        """Where tokens are refreshed."""

    def refresh(self, http: Http, held: Credentials, now: datetime) -> Credentials:
        """New tokens for old; `http` leads to `token_address`."""
