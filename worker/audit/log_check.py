"""The tree computed anew, and held against every checkpoint, in the database and outside."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import BigInteger, Row, exists, literal, select
from sqlalchemy.orm import Session

from worker.audit import checkpoints, gaps, tree
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.entries import stamp
from worker.audit.findings import Finding, Lacking, Report, finding
from worker.audit.growing import GrowingTree
from worker.audit.merkle import CompactRange
from worker.audit.signing import Signer
from worker.audit.streaming import streamed, streamed_columns
from worker.errors import LogAltered
from worker.tables import Checkpoint, Entry, Position, Subtree


@dataclass(frozen=True)
class Outside:
    """What the anchors say."""

    is_set: bool
    heads: tuple[Head, ...] = ()
    """The newest first."""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Claim:
    """A root that the tree must have at a size, and who says so."""

    size: int
    root: bytes
    of: str
    is_past: bool
    """Of a log that was anchored anew since: what it says is only a note."""


def look_outside(anchors: Anchors | None, signer: Signer | None, at_least: int = 0) -> Outside:
    """The anchors over at least so many entries. Raises `AnchorError` if there is no answer.

    All of them, for whoever has the key may have anchored what they made of the log: the newest
    agrees with it, and those of before do not.
    """
    if anchors is None or signer is None:
        return Outside(is_set=False)
    found = list(anchors.kept(signer, at_least))
    return Outside(
        is_set=True,
        heads=tuple(each for each in found if isinstance(each, Head)),
        doubts=tuple(str(each) for each in found if isinstance(each, LogAltered)),
    )


def check(
    session: Session, report: Report, start: CompactRange, signer: Signer | None, outside: Outside
) -> Iterator[Finding]:
    """What is off with positions, subtrees and checkpoints from where `start` ends."""
    pruned = gaps.pruned(session)
    if pruned:
        report.notes.append(f"The first {pruned:,} entries were removed, see `log_pruned`.")
    report.positions = tree.size(session)
    newest = checkpoints.latest(session)
    generation = 0 if newest is None else checkpoints.generation(newest.origin)
    claims: list[_Claim] = []
    yield from _against_outside(report, outside, generation, claims)
    yield from _anew(session, generation, pruned)
    before: Checkpoint | None = None
    for row in checkpoints.since(session, start.size):
        report.checkpoints += 1
        head = _said(row, signer)
        if head is not None:
            is_past = head.generation < generation
            claims.append(_Claim(head.size, head.root, f"Checkpoint c-{row.id}", is_past))
        for says in _off(row, before, head):
            yield finding(f"Checkpoint c-{row.id} {says}.")
        before = row
    yield from _without_entry(session, max(start.size, pruned))
    yield from _grown(session, report, start, sorted(claims, key=lambda claim: claim.size))


def _against_outside(
    report: Report, outside: Outside, generation: int, claims: list[_Claim]
) -> Iterator[Finding]:
    yield from map(finding, outside.doubts)
    report.anchors = len(outside.heads)
    if not outside.heads:
        report.exposed = report.positions if outside.is_set else None
        return
    newest = outside.heads[0]
    report.exposed = max(0, report.positions - newest.size)
    report.anchored_at = stamp(newest.at)
    for head in outside.heads:
        of = f"The checkpoint anchored at {stamp(head.at)}"
        claims.append(_Claim(head.size, head.root, of, head.generation < generation))
    if newest.generation > generation:
        yield finding(
            Lacking(
                f"The log was anchored anew as {newest.origin}, which the database does not "
                "know: it was restored from a backup of before."
            )
        )


def _anew(session: Session, generation: int, pruned: int) -> Iterator[Finding]:
    """A log goes on under another name when an approver says so, and is not believed otherwise."""
    if generation <= 1 or pruned:
        return
    said = select(Entry.body).where(Entry.action == "log_reanchored")
    if not any(f'"generation":{generation},'.encode() in body for body in session.scalars(said)):
        yield finding(
            Lacking(f"The log goes on as generation {generation}, and no entry says why it does.")
        )


def _said(row: Checkpoint, signer: Signer | None) -> Head | None:
    """What a checkpoint's note says; None if it was signed by no known key."""
    if signer is None:
        return Head.parsed(row.note.partition("\n\n")[0] + "\n")
    return checkpoints.opened(row.note, signer)


def _off(row: Checkpoint, before: Checkpoint | None, head: Head | None) -> Iterator[str]:
    """What is off with one checkpoint by itself."""
    if head is None:
        yield "was signed by no key of TEND_AUDIT_KEYS, or altered"
        return
    for name in ("origin", "size", "root", "at"):
        if getattr(row, name) != getattr(head, name):
            yield f"has another {name} in its column than in its note"
    if before is not None and (row.size < before.size or row.at < before.at):
        yield f"is over fewer entries than c-{before.id} before it, or older"


def _without_entry(session: Session, start: int) -> Iterator[Finding]:
    lost = select(Position.position, Position.entry_id).where(
        Position.position >= start, ~exists().where(Entry.id == Position.entry_id)
    )
    for position, entry_id in streamed(session, lost.order_by(Position.position)):
        yield finding(f"Entry {entry_id} at position {position} is gone.", entry=entry_id)


def _grown(
    session: Session, report: Report, start: CompactRange, claims: list[_Claim]
) -> Iterator[Finding]:
    """The tree grows leaf by leaf; where a claim is about its size, the roots are compared."""
    grown = GrowingTree(start)
    stored = _subtrees(session, start.size)
    hole: str | None = None
    waiting = deque(claims)
    yield from _compared(session, report, grown, waiting)
    for position, leaf in _positions(session, start.size):
        if position != grown.size:
            hole = f"Positions {grown.size} to {position - 1} are gone"
            break
        for level, place, digest in grown.append(leaf):
            if stored.pop((level, place), None) != digest:
                yield finding(f"The stored root {place} of level {level} is not that of the tree.")
        if waiting and waiting[0].size == grown.size:
            yield from _compared(session, report, grown, waiting)
    if hole is not None:
        yield finding(f"{hole}: no root from there on can be computed.")
        return
    for level, place in stored:
        yield finding(f"The stored root {place} of level {level} belongs to no part of the tree.")
    for claim in waiting:
        says = f"{claim.of} is over {claim.size:,} entries, and the log has {grown.size:,}."
        yield from _told(report, claim, Lacking(says))


def _compared(
    session: Session, report: Report, grown: GrowingTree, waiting: deque[_Claim]
) -> Iterator[Finding]:
    """The claims about what the tree is by now, or was before the part that is read."""
    while waiting and waiting[0].size <= grown.size:
        claim = waiting.popleft()
        try:
            is_root = claim.size == grown.size
            found = grown.root if is_root else tree.root(session, claim.size)
        except LogAltered:
            found = b""
        if found != claim.root:
            says = f"{claim.of} is not over the first {claim.size:,} entries as they are."
            yield from _told(report, claim, says)


def _told(report: Report, claim: _Claim, says: str) -> Iterator[Finding]:
    if claim.is_past:
        report.notes.append(f"{says} The log was anchored anew since; see its entry.")
    else:
        yield finding(says)


def _positions(session: Session, start: int) -> Iterator[Row[int, bytes]]:
    every = select(Position.position, Position.leaf_hash).where(Position.position >= start)
    yield from streamed_columns(session, every.order_by(Position.position))


def _subtrees(session: Session, start: int) -> dict[tuple[int, int], bytes]:
    """What is stored of the part to be read: 4,000 of a million entries."""
    first = literal(start, BigInteger).bitwise_rshift(Subtree.level)
    every = select(Subtree.level, Subtree.place, Subtree.hash).where(Subtree.place >= first)
    return {(level, place): digest for level, place, digest in session.execute(every)}
