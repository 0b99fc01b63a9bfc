"""Reading on in log files that are rotated, truncated, renamed and copied meanwhile.

A file is known by how it begins, not by its name: a name passes to another file at midnight, and
an inode is given to the next file when one is deleted.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HEAD = 256
"""Bytes by which a file is known, once it has so many."""
ENOUGH = 64
"""With fewer, a file that begins alike may be another one, unless it has the same inode."""
BLOCK = 1 << 20
LONGEST = 65_536
"""A longer line is no log line; it is passed over."""
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".zip")


@dataclass(frozen=True)
class Position:
    """A file that was met, and how far it was read."""

    device: int
    inode: int
    head: str
    """The digest of its first `size` bytes."""
    size: int
    name: str
    """What its events are named by: the digest when it was met first, and how often it was."""
    offset: int = 0

    def as_json(self) -> list[str | int]:
        return [self.device, self.inode, self.head, self.size, self.name, self.offset]


@dataclass(frozen=True)
class Line:
    """A whole line, and where it begins."""

    text: str
    place: str


def named(pattern: str) -> list[Path]:
    """The files whose name fits; * stands for any part of it."""
    path = Path(pattern)
    return sorted(path.parent.glob(path.name))


def files_of(pattern: str, known: Sequence[Position]) -> list[Path]:
    """The files that the pattern names, and those beside them that were met and renamed since."""
    named_so = named(pattern)
    inodes = {(each.device, each.inode) for each in known}
    beside = {
        path
        for folder in {path.parent for path in named_so} | {Path(pattern).parent}
        if inodes and folder.is_dir()
        for path in folder.iterdir()
        if path.is_file() and _inode(path) in inodes
    }
    found = {path for path in (*named_so, *beside) if path.suffix not in _COMPRESSED}
    return sorted((path for path in found if path.is_file()), key=_age)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, str(path)
    except OSError:
        return 0.0, str(path)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def resumed(path: Path, known: Sequence[Position], taken: set[str]) -> Position | None:
    """Where to read on in this file; None if another name of it is read already."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        status = path.stat()
    inode = status.st_dev, status.st_ino
    same = [each for each in known if _is_same(each, head, status.st_size, inode)]
    same.sort(key=lambda each: ((each.device, each.inode) != inode, -each.offset))
    digest = hashlib.sha256(head).hexdigest()
    if same:
        found = same[0]
        if found.name in taken:
            return None
        return replace(found, device=inode[0], inode=inode[1], head=digest, size=len(head))
    names = {each.name for each in known} | taken
    number = next(n for n in range(len(names) + 1) if f"{digest[:24]}.{n}" not in names)
    return Position(*inode, digest, len(head), f"{digest[:24]}.{number}")


def _is_same(known: Position, head: bytes, size: int, inode: tuple[int, int]) -> bool:
    """Whether a file that begins so is the known one: it never shrinks, and begins as it did."""
    if size < known.offset or len(head) < known.size:
        return False
    if hashlib.sha256(head[: known.size]).hexdigest() != known.head:
        return False
    return known.size >= ENOUGH or (known.device, known.inode) == inode


def whole_lines(path: Path, position: Position) -> Iterator[tuple[Position, list[Line]]]:
    """The lines that are whole, a block at a time, each with the position after it."""
    with path.open("rb") as file:
        file.seek(position.offset)
        rest = b""
        while block := file.read(BLOCK):
            data = rest + block
            end = data.rfind(b"\n") + 1
            if end == 0 and len(data) > LONGEST:
                end = len(data)
            lines = list(_split(data[:end], position))
            position = replace(position, offset=position.offset + end)
            rest = data[end:]
            if lines:
                yield position, lines


def _split(data: bytes, position: Position) -> Iterator[Line]:
    offset = position.offset
    for raw in data.split(b"\n")[:-1]:
        if len(raw) <= LONGEST:
            text = raw.decode("utf-8", "replace").rstrip("\r")
            yield Line(text, f"{position.name}:{offset}")
        offset += len(raw) + 1
