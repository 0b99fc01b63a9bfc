"""The archive: before-images as compressed, encrypted, write-once objects.

An object is written and fsynced before the change that it can take back. Its name is
`<run>/<direction>-<chunk>.<attempt>.<batch>.bson.zst`, which no other batch ever has.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import bson
import fsspec
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

from worker.errors import ArchiveAltered, ArchiveError, SettingError
from worker.keys import RunKey
from worker.targets.base import ArchiveRef, Images, RecordOutcome

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    RawBSONDocument, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_MEND = "bring its original back from a copy of the archive store, then resume the run."


class ArchiveStore:
    """The store behind TEND_ARCHIVE_URL: a folder that every worker sees, or an object store."""

    def __init__(self, url: str) -> None:
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise SettingError(
                "TEND_ARCHIVE_URL names a store that fsspec cannot open here; write a folder, or "
                "install the package for this kind of store, such as s3fs for s3://."
            ) from error
        self._is_local = "file" in self._files.protocol or self._files.protocol == "file"

    def write(self, key: RunKey, name: str, images: Images) -> ArchiveRef:
        """Write one object and return only when it is safe; raises `ArchiveError`."""
        sealed = key.seal(_encode(images), name)
        try:
            if self._is_local:
                _write_durably(Path(self._root) / name, sealed)
            else:
                self._files.pipe_file(f"{self._root}/{name}", sealed, mode="create")
        except OSError as error:
            raise ArchiveError(
                f"The archive cannot be written ({os.strerror(error.errno or 0)}); nothing was "
                "changed. Check TEND_ARCHIVE_URL, its permissions and its free space."
            ) from error
        return ArchiveRef(name, hashlib.sha256(sealed).hexdigest(), len(sealed))

    def read(self, key: RunKey, ref: ArchiveRef) -> Iterator[RecordOutcome]:
        """The records of one object, after its hash was checked.

        Raises `ArchiveAltered` if it is missing or another one, and `ArchiveError` if the store
        is out of reach.
        """
        yield from _decode(self._opened(key, ref))

    def _opened(self, key: RunKey, ref: ArchiveRef) -> bytes:
        try:
            sealed: bytes = self._files.cat_file(f"{self._root}/{ref.name}")
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self._answers():
                raise ArchiveAltered(f"Archive object {ref.name} is missing; {_MEND}") from error
            raise ArchiveError(
                f"Archive object {ref.name} cannot be read; check TEND_ARCHIVE_URL."
            ) from error
        if hashlib.sha256(sealed).hexdigest() != ref.sha256:
            raise ArchiveAltered(
                f"Archive object {ref.name} was altered: it differs from its hash on record; "
                f"{_MEND}"
            )
        return key.open(sealed, ref.name)

    def _answers(self) -> bool:
        """Whether the store is there at all: the folder of one not mounted is missing or empty."""
        try:
            if self._is_local:
                return any(Path(self._root).iterdir())
            return bool(self._files.exists(self._root))
        except OSError:
            return False

    def exists(self, name: str) -> bool:
        return bool(self._files.exists(f"{self._root}/{name}"))

    def folders(self) -> set[str]:
        """The names of all runs, of whatever site, that have objects here."""
        if not self._files.exists(self._root):
            return set()
        return {Path(path).name for path in self._files.ls(self._root, detail=False)}

    def destroy(self, prefix: str) -> None:
        """Remove every object of one run; the run's key is destroyed by the caller."""
        if self._files.exists(f"{self._root}/{prefix}"):
            self._files.rm(f"{self._root}/{prefix}", recursive=True)


def _encode(images: Images) -> bytes:
    """One BSON document for the whole batch: before-images go in as the bytes they came in."""
    return bson.encode(
        {
            "deleted": images.deleted,
            "updated": [
                {"before": before, "written": written, "unset": unset}
                for before, written, unset in images.updated
            ],
            "quarantined": [
                {"before": before, "label": label} for before, label in images.quarantined
            ],
            "others": [
                {
                    "key": other.key,
                    "outcome": other.outcome,
                    "code": other.code,
                    **({"collection": other.collection} if other.collection else {}),
                }
                for other in images.others
            ],
            "children": [
                {"collection": name, "deleted": records}
                for name, records in images.children.items()
            ],
        }
    )


def _decode(plain: bytes) -> Iterator[RecordOutcome]:
    document = RawBSONDocument(plain, _RAW)
    for before in _drained(document["deleted"]):
        yield RecordOutcome(before["_id"], "changed", before=before)
    for update in _drained(document["updated"]):
        before = update["before"]
        written = dict(update["written"])
        unset = tuple(update["unset"])
        yield RecordOutcome(before["_id"], "changed", before=before, written=written, unset=unset)
    for moved in _drained(document["quarantined"]):
        before = moved["before"]
        label = dict(moved["label"])
        yield RecordOutcome(before["_id"], "changed", before=before, label=label)
    for other in _drained(document["others"]):
        where = other.get("collection")
        yield RecordOutcome(other["key"], other["outcome"], other["code"], collection=where)
    for child in _drained(document["children"]):
        where = child["collection"]
        for before in _drained(child["deleted"]):
            yield RecordOutcome(before["_id"], "changed", before=before, collection=where)


def _drained(images: list[RawBSONDocument]) -> Iterator[RawBSONDocument]:
    """A document that was looked into takes ten times its bytes: none is kept for those after."""
    images.reverse()
    while images:
        yield images.pop()


def _write_durably(path: Path, content: bytes) -> None:
    """Write a new file so that it survives a power cut: its bytes and its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
