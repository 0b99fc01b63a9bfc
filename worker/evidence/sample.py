"""A sample that anybody draws again: the entries whose hash after the seed is smallest."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest

from sqlalchemy.orm import Session

from worker.audit import tree
from worker.evidence.facts import Document


@dataclass(frozen=True)
class Sample:
    """How many entries are asked for, and the seed that draws them."""

    count: int
    seed: str

    def drawn(self, positions: Iterable[int]) -> list[int]:
        return sorted(nsmallest(self.count, positions, key=self._rank))

    def as_json(self, session: Session, positions: Iterable[int], size: int) -> Document:
        """Each item with what leads from it to the root over the first `size` entries."""
        drawn = self.drawn(positions)
        items = [
            {
                "position": position,
                "proof": [step.hex() for step in tree.inclusion_proof(session, position, size)],
            }
            for position in drawn
        ]
        return {"seed": self.seed, "asked": self.count, "items": items}

    def _rank(self, position: int) -> bytes:
        return hashlib.sha256(f"{self.seed}:{position}".encode()).digest()
