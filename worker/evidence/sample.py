"""A sample that anybody draws again: runs from beginning to end, and single changed records.

What is drawn are those whose hash after the seed is smallest. The verifier draws by the same lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from worker.audit import merkle, tree
from worker.evidence.facts import Document
from worker.evidence.manifests import split
from worker.evidence.verifier import Drawing
from worker.tables import Entry, Manifest, Position

_BEARS = "chunk_manifest"


@dataclass(frozen=True)
class Sample:
    """How many runs and how many records are asked for, and the seed that draws them."""

    count: int
    seed: str

    def drawing(self) -> Drawing:
        """What takes the entries of the period, and knows afterwards which are drawn."""
        return Drawing(self.seed, self.count)

    def as_json(
        self, session: Session, drawing: Drawing, positions: range, policy: str | None, size: int
    ) -> Document:
        """Each item with what leads from it to the root over the first `size` entries."""
        of_bundle = _Drawn(session, positions, policy, size)
        return {
            "seed": self.seed,
            "asked": self.count,
            "runs": [of_bundle.run(name) for name in drawing.runs.names],
            "records": [of_bundle.record(name) for name in drawing.records.names],
        }


@dataclass(frozen=True)
class _Drawn:
    """Finds what was drawn in the part of the log that the bundle has."""

    session: Session
    positions: range
    policy: str | None
    size: int

    def run(self, name: str) -> Document:
        """Every entry of a run, so that it can be followed from its request to its end."""
        rows = self._entries(int(name.removeprefix("r-")))
        return {"run": name, "entries": [self._proven(row.position) for row in rows]}

    def record(self, name: str) -> Document:
        """One line of a manifest, its place there, and the entry that bears the manifest."""
        manifest_name, _, index = name.rpartition(".")
        run, direction, number = manifest_name.split(".")
        key = int(run.removeprefix("r-")), direction, int(number)
        manifest = self.session.get_one(Manifest, key)
        lines = split(manifest.payload)
        self.session.expunge(manifest)
        leaves = [merkle.leaf_hash(line) for line in lines]
        proof = merkle.inclusion_proof(leaves, int(index))
        return {
            "manifest": manifest_name,
            "index": int(index),
            "line": lines[int(index)].hex(),
            "proof": [step.hex() for step in proof],
            "entry": self._proven(self._bearer(key)),
        }

    def _entries(self, run_id: int) -> Sequence[Row[int, str, bytes]]:
        query = (
            select(Position.position, Entry.action, Entry.body)
            .join(Entry, Entry.id == Position.entry_id)
            .where(Entry.run_id == run_id)
            .where(Position.position >= self.positions.start)
            .where(Position.position < self.positions.stop)
        )
        if self.policy is not None:
            query = query.where(Entry.policy == self.policy)
        return self.session.execute(query.order_by(Position.position)).all()

    def _bearer(self, key: tuple[int, str, int]) -> int:
        _, direction, number = key
        says = f'"chunk":{number},'.encode(), f'"direction":"{direction}"'.encode()
        return next(
            int(row.position)
            for row in self._entries(key[0])
            if row.action == _BEARS and all(each in row.body for each in says)
        )

    def _proven(self, position: int) -> Document:
        proof = tree.inclusion_proof(self.session, position, self.size)
        return {"position": position, "proof": [step.hex() for step in proof]}
