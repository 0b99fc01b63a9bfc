"""Merkle trees as RFC 6962, section 2.1 defines them: hashes, roots and proofs, and no storage.

Everything here takes leaf hashes, not entries. A range of leaves is written (begin, end), with
`end` not part of it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

Range = tuple[int, int]


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry: SHA-256 over a zero byte and its bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class CompactRange:
    """A growing tree of which only the roots of its complete subtrees are kept: 20 for a million.

    `peaks` are largest first, one for each bit that is set in `size`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        peaks, rest = self.peaks, self.size
        while rest & 1:
            leaf = hashlib.sha256(b"\x01" + peaks.pop() + leaf).digest()
            rest >>= 1
        peaks.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> Self:
        for leaf in leaves:
            self.append(leaf)
        return self

    def copy(self) -> "CompactRange":
        return CompactRange(self.size, list(self.peaks))

    @property
    def root(self) -> bytes:
        return fold(self.peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size; of none it is the hash of nothing."""
    if not peaks:
        return hashlib.sha256().digest()
    *rest, top = peaks
    for peak in reversed(rest):
        top = node_hash(peak, top)
    return top


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree's root."""
    return CompactRange().extend(leaves).root


def complete_subtrees(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The complete subtrees of a range, largest first, each as its level and its place there.

    `begin` must be a multiple of the largest power of two that fits into the range.
    """
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What leads from one leaf to the root."""
    return [root(leaves[begin:end]) for begin, end in inclusion_path(index, len(leaves))]


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """What shows that the tree of the first `old_size` leaves is a beginning of this one."""
    return [root(leaves[begin:end]) for begin, end in consistency_path(old_size, len(leaves))]


def inclusion_path(index: int, size: int) -> list[Range]:
    """The ranges whose roots are the inclusion proof of a leaf, the lowest first."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has none at {index}")
    path: list[Range] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return path[::-1]


def consistency_path(old_size: int, size: int) -> list[Range]:
    """The ranges whose roots are the consistency proof; none if one tree is empty or both alike."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} leaves has no beginning of {old_size}")
    if old_size in (0, size):
        return []
    path: list[Range] = []
    begin, end, is_old = 0, size, True
    while old_size != end:
        middle = begin + _split(end - begin)
        if old_size <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin, is_old = middle, False
    if not is_old:
        path.append((begin, end))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the tree of `size` leaves under this root has this leaf at `index`."""
    if not 0 <= index < size:
        return False
    path = inclusion_path(index, size)
    if len(path) != len(proof):
        return False
    for (begin, _), beside in zip(path, proof, strict=True):
        leaf = node_hash(leaf, beside) if begin > index else node_hash(beside, leaf)
    return leaf == root


def verify_consistency(
    old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> bool:
    """Whether the tree under `old_root` is a beginning of the one under `root`."""
    if not 0 <= old_size <= size:
        return False
    path = consistency_path(old_size, size)
    if len(path) != len(proof):
        return False
    if not path:
        return old_root == (root if old_size else fold([]))
    is_whole = old_size & (old_size - 1) == 0
    ranges, hashes = (path, list(proof)) if is_whole else (path[1:], list(proof[1:]))
    old = new = old_root if is_whole else proof[0]
    for (begin, _), beside in zip(ranges, hashes, strict=True):
        if begin < old_size:
            old = node_hash(beside, old)
            new = node_hash(beside, new)
        else:
            new = node_hash(new, beside)
    return (old, new) == (old_root, root)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
