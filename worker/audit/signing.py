"""The keys of the audit log, from TEND_AUDIT_KEYS: the first signs, every one verifies."""

import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from worker.audit import notes
from worker.errors import SettingError
from worker.keys import development_file, made_once
from worker.settings import ED25519_SEED_BYTES, Settings


@dataclass(frozen=True)
class Signer:
    """What signs the checkpoints of one environment's log, and knows its own signatures."""

    environment: str
    keys: tuple[Ed25519PrivateKey, ...] = field(repr=False)

    @classmethod
    def of(cls, environment: str, keys: str) -> Self:
        """From the text of TEND_AUDIT_KEYS."""
        seeds = [b64decode(key.strip(), validate=True) for key in keys.split(",")]
        return cls(environment, tuple(map(Ed25519PrivateKey.from_private_bytes, seeds)))

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """This installation's; in development its key is made on first use.

        Raises `SettingError` where no key is set.
        """
        if settings.audit_keys is not None or settings.env != "development":
            return cls.of(settings.env, settings.need("audit_keys"))
        path = development_file("audit-keys")
        try:
            return cls.of(settings.env, made_once(path, _generate))
        except OSError as error:
            raise SettingError(
                f"The development key of the audit log cannot be kept in {path} "
                f"({error.strerror}); set TEND_AUDIT_KEYS, or XDG_STATE_HOME to a folder that can "
                "be written."
            ) from error
        except ValueError as error:
            raise SettingError(
                f"{path} does not hold the audit log's key; put its original back."
            ) from error

    def origin(self, generation: int) -> str:
        """The name of the log: another one after each `tend audit reanchor`."""
        return f"tend/{self.environment}/{generation}"

    def sign(self, text: str, origin: str) -> str:
        return notes.sign(text, origin, self.keys[0])

    def opened(self, note: str, origin: str) -> str | None:
        """The text of a note that one of the keys signed for this environment; else None."""
        if not origin.startswith(f"tend/{self.environment}/"):
            return None
        texts = (notes.opened(note, origin, key.public_key()) for key in self.keys)
        return next((text for text in texts if text is not None), None)

    def public_keys(self, origin: str) -> list[str]:
        """The verifier keys under which a reader can check this log's notes, the signing one first.

        `openssl` and Go's `note` package take the same 32 bytes.
        """
        return [notes.verifier_key(origin, key.public_key()) for key in self.keys]


def _generate() -> bytes:
    return b64encode(os.urandom(ED25519_SEED_BYTES))
