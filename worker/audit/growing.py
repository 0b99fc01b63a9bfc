"""A Merkle tree that grows leaf by leaf and tells which stored subtrees become complete."""

from collections.abc import Iterator

from worker.audit import merkle
from worker.audit.merkle import CompactRange
from worker.audit.tree import STEP

_FULL = 1 << STEP


class GrowingTree:
    """The log read from a point on; each hash is computed once, and little is kept."""

    def __init__(self, start: CompactRange) -> None:
        """`start` is what was verified before, of any size."""
        self.size = start.size
        self._steps: list[CompactRange] = []
        self._places: list[int] = []
        peaks, size = list(start.peaks), start.size
        while size:
            below = size % _FULL
            count = below.bit_count()
            self._steps.append(CompactRange(below, peaks[len(peaks) - count :]))
            peaks = peaks[: len(peaks) - count]
            size >>= STEP
            self._places.append(size)

    def append(self, leaf: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add the next leaf; yields the level, place and hash of what it completes."""
        self.size += 1
        step = 0
        while True:
            if step == len(self._steps):
                self._steps.append(CompactRange())
                self._places.append(0)
            self._steps[step].append(leaf)
            if self._steps[step].size < _FULL:
                return
            leaf = self._steps[step].root
            self._steps[step] = CompactRange()
            yield (step + 1) * STEP, self._places[step], leaf
            self._places[step] += 1
            step += 1

    @property
    def frontier(self) -> CompactRange:
        """The roots of the complete subtrees so far."""
        peaks = [peak for step in reversed(self._steps) for peak in step.peaks]
        return CompactRange(self.size, peaks)

    @property
    def root(self) -> bytes:
        return merkle.fold(self.frontier.peaks)
