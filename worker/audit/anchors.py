"""Anchors: checkpoints outside the database, where whoever rewrites it does not reach.

`<generation>/<day>/<size>-<time>.note` under TEND_ANCHOR_URL, each written once and never changed,
so that a store that keeps what it has been given (object lock, WORM) fits.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec

from worker.audit import checkpoints
from worker.audit.checkpoints import Head
from worker.audit.signing import Signer
from worker.errors import AnchorError, LogAltered, SettingError
from worker.settings import Settings

_SUFFIX = ".note"
_WHOLE_DAYS = 2


class Anchors:
    """The store behind TEND_ANCHOR_URL: a folder or an object store."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise SettingError(
                "TEND_ANCHOR_URL names a store that fsspec cannot open here; write a folder, or "
                "install the package for this kind of store, such as s3fs for s3://."
            ) from error
        self._is_local = "file" in self._files.protocol or self._files.protocol == "file"

    def write(self, head: Head, note: str) -> None:
        """Keep a checkpoint; one that is there already is left alone. Raises `AnchorError`."""
        name = (
            f"{head.generation:06}/{head.at:%Y-%m-%d}/{head.size:015}-{head.at:%H%M%S%f}{_SUFFIX}"
        )
        try:
            if self._is_local:
                _write_durably(Path(self._root) / name, note.encode())
            else:
                self._files.pipe_file(f"{self._root}/{name}", note.encode(), mode="create")
        except FileExistsError:
            return
        except OSError as error:
            raise AnchorError(
                f"The anchor of the audit log cannot be written "
                f"({os.strerror(error.errno or 0)}); check TEND_ANCHOR_URL."
            ) from error

    def newest(self, signer: Signer) -> Head | None:
        """The newest checkpoint there; None if there is none yet.

        Raises `LogAltered` if it was signed by no known key, and `AnchorError` if the store does
        not answer.
        """
        name = self._newest_name()
        return None if name is None else self._opened(name, signer)

    def kept(self, signer: Signer, at_least: int) -> Iterator[Head | LogAltered]:
        """Checkpoints over at least so many entries, and the newest, each or why it is none.

        Of the two newest days every one, of each day before and each log before the last: whoever
        verifies every night meets each of them once, and one of every day for ever.
        """
        generations = self._listed(str(self._root))
        for name in self._to_compare(generations[0], at_least) if generations else ():
            yield self._tried(name, signer)
        for generation in generations[1:]:
            for name in islice(self._newest_first(generation), 1):
                yield self._tried(name, signer)

    def generation(self) -> int:
        """The newest generation of the log that was anchored; 0 if there is none."""
        name = self._newest_name()
        return 0 if name is None else _generation_of(name)

    def _newest_name(self) -> str | None:
        for generation in self._listed(str(self._root)):
            for name in self._newest_first(generation):
                return name
        return None

    def _newest_first(self, generation: str) -> Iterator[str]:
        """A folder may be empty for a moment, before its first note has its name."""
        for day in self._listed(generation):
            yield from self._listed(day)

    def _to_compare(self, generation: str, at_least: int) -> Iterator[str]:
        is_newest = True
        for number, day in enumerate(self._listed(generation)):
            notes = self._listed(day)
            for name in notes if number < _WHOLE_DAYS else notes[:1]:
                if _size_of(name) < at_least and not is_newest:
                    return
                is_newest = False
                yield name

    def _tried(self, name: str, signer: Signer) -> Head | LogAltered:
        try:
            return self._opened(name, signer)
        except LogAltered as error:
            return error

    def _opened(self, name: str, signer: Signer) -> Head:
        head = checkpoints.opened(self._read(name), signer)
        if head is None or head.generation != _generation_of(name):
            raise LogAltered(
                f"The anchor {'/'.join(name.split('/')[-3:])} was signed by no key of "
                "TEND_AUDIT_KEYS for this environment: a key was swapped, or TEND_ANCHOR_URL "
                "belongs to another installation."
            )
        return head

    def _listed(self, folder: str) -> list[str]:
        """What lies in a folder, the newest first."""
        try:
            self._files.invalidate_cache()
            found: list[Any] = self._files.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable() from error
        paths = [str(each).rstrip("/") for each in found]
        if paths == [folder.rstrip("/")]:
            raise _unreadable()  # it is a file
        names = [path.rpartition("/")[2] for path in paths]
        return [f"{folder}/{name}" for name in sorted(names, reverse=True) if name[:1].isdigit()]

    def _read(self, name: str) -> str:
        try:
            content: bytes = self._files.cat_file(name)
        except OSError as error:
            raise _unreadable() from error
        return content.decode(errors="replace")


def _generation_of(name: str) -> int:
    return int(name.split("/")[-3])


def _size_of(name: str) -> int:
    return int(name.rpartition("/")[2].partition("-")[0])


def from_settings(settings: Settings) -> Anchors | None:
    """The installation's anchors; None if it has no TEND_ANCHOR_URL."""
    url = settings.anchor_url
    return None if url is None else Anchors(url.get_secret_value())


def _unreadable() -> AnchorError:
    return AnchorError("The anchors of the audit log cannot be read; check TEND_ANCHOR_URL.")


def _write_durably(path: Path, content: bytes) -> None:
    """A new file that has its name only when it is whole, and keeps both after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    finally:
        with suppress(FileNotFoundError):
            Path(draft).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
