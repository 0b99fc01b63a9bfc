"""Passwords: hashed with argon2id, never with less; compared in the same time for any user."""

from functools import cache

from pwdlib import PasswordHash

from worker.errors import UsageError

SHORTEST = 12
LONGEST = 256
"""Bytes: hashing takes time with each."""


def must_be_good(password: str) -> None:
    """Raise `UsageError` for a password that is soon guessed."""
    if len(password) < SHORTEST or len(set(password)) < 5:
        raise UsageError(
            f"The password is too easily guessed: take {SHORTEST} letters or more, not all alike."
        )
    if len(password.encode()) > LONGEST:
        raise UsageError(f"The password is longer than {LONGEST} bytes; take a shorter one.")


def hashed(password: str) -> str:
    return _hasher().hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Whether it is the one; without a kept one the same time passes, and it never is."""
    if len(password.encode()) > LONGEST:
        return False
    return _hasher().verify(password, kept or _nobodys()) and kept is not None


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys() -> str:
    return hashed("the password of nobody")
