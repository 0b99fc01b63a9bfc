"""The keys of the archive: one per run, wrapped by those in TEND_KEYS.

Destroying a run's wrapped key destroys the last copy of what that run archived.
"""

import hmac
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.errors import ArchiveAltered, ArchiveError, SettingError
from worker.settings import Settings

_NONCE_BYTES = 12


@dataclass(frozen=True)
class RunKey:
    """The 32 bytes that seal everything one run keeps."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(AESGCM.generate_key(256))

    def seal(self, plain: bytes, name: str) -> bytes:
        """Compress and encrypt; the result opens only under the same `name`."""
        # zstandard's objects are not safe to share between threads: one for each call.
        frame = zstandard.ZstdCompressor(level=3).compress(plain)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.secret).encrypt(nonce, frame, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """What was sealed under `name`. Raises `ArchiveAltered` if a bit of it differs."""
        nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            frame = AESGCM(self.secret).decrypt(nonce, body, name.encode())
            # Reserves what the frame says it holds, and refuses a frame that does not say.
            return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
        except (InvalidTag, ValueError, zstandard.ZstdError) as error:
            raise ArchiveAltered(
                f"The archive object '{name}' was altered, cut short or sealed with another key; "
                "bring its original back from a copy of the archive store."
            ) from error

    def digest(self, data: bytes) -> str:
        """HMAC-SHA256 in hex: equal for equal data of this run, and tells nobody else anything."""
        return hmac.digest(self.secret, data, "sha256").hex()


class Keyring:
    """The keys of TEND_KEYS: the first wraps, every one unwraps, so that keys can be rotated."""

    def __init__(self, keys: str) -> None:
        every = [Fernet(key.strip()) for key in keys.split(",")]
        self._first, self._fernet = every[0], MultiFernet(every)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The keyring of this installation; in development it is made on first use."""
        if settings.keys is not None or settings.env != "development":
            return cls(settings.need("keys"))
        path = development_file("keys")
        try:
            return cls(made_once(path, Fernet.generate_key))
        except OSError as error:
            raise SettingError(
                f"The development keys cannot be kept in {path} ({error.strerror}); "
                "set TEND_KEYS, or XDG_STATE_HOME to a folder that can be written."
            ) from error
        except ValueError as error:
            raise SettingError(
                f"{path} does not hold archive keys; put its original back, or remove it and "
                "lose what was archived with it."
            ) from error

    def wrap(self, run_key: RunKey) -> bytes:
        return self._fernet.encrypt(run_key.secret)

    def unwrap(self, wrapped: bytes) -> RunKey:
        """The run's key. Raises `ArchiveError` when none of the keys wrapped it."""
        try:
            return RunKey(self._fernet.decrypt(wrapped))
        except InvalidToken as error:
            raise ArchiveError(
                "None of the keys in TEND_KEYS opens this run's archive key, or it was altered; "
                "add the key that was in use when the run was made to the end of TEND_KEYS."
            ) from error

    def renewed(self, wrapped: bytes) -> bytes | None:
        """The same key wrapped by the first of the keys; None if it is already.

        Raises `ArchiveError` as `unwrap` does.
        """
        try:
            self._first.decrypt(wrapped)
        except InvalidToken:
            return self.wrap(self.unwrap(wrapped))
        return None


def development_file(kind: str) -> Path:
    """Where an installation without settings keeps keys of this kind."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        state = Path.home() / ".local" / "state"
    return state / "tend" / f"development.{kind}"


def made_once(path: Path, generate: Callable[[], bytes]) -> str:
    """The file's keys, made if absent.

    A name that appears together with its content lets racing processes agree: whoever links
    first has made the keys, everyone reads them.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, draft = tempfile.mkstemp(dir=path.parent)  # O_EXCL, mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(generate())
                file.flush()
                os.fsync(descriptor)
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    return path.read_text().strip()
