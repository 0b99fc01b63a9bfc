"""One login by way of the provider that has begun: the browser alone keeps what it is made of."""

import hashlib
import hmac
from dataclasses import dataclass

from worker.console import sessions


@dataclass(frozen=True)
class Handshake:
    """What proves that an answer of the provider belongs to the question of this browser."""

    secret: str

    @property
    def state(self) -> str:
        return self._made("state")

    @property
    def nonce(self) -> str:
        return self._made("nonce")

    @property
    def verifier(self) -> str:
        """Of PKCE."""
        return self._made("verifier")

    def _made(self, what: str) -> str:
        return hmac.new(self.secret.encode(), what.encode(), hashlib.sha256).hexdigest()


def begin() -> Handshake:
    return Handshake(sessions.new_secret())
