"""Verification: every entry against its hash, its columns, the rows it speaks of and the tree.

`docs/audit.md` says what this proves and what it cannot.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker import database as control_database
from worker.audit import alarm, checkpoints, gaps, log_check, run_check, tree
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.dating import TrustedTimes
from worker.audit.findings import Finding, Report, finding
from worker.audit.log_check import Outside
from worker.audit.merkle import CompactRange
from worker.audit.signing import Signer
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.errors import LogAltered
from worker.evidence import manifest_check
from worker.keys import Keyring
from worker.tables import Unsequenced, Verification

_VERIFIED = "/verified"


@dataclass(frozen=True)
class Start:
    """Where a verification begins: the tree up to there was verified before."""

    known: CompactRange
    doubts: tuple[Finding, ...] = ()


def verify(
    database: Database,
    signer: Signer | None = None,
    anchors: Anchors | None = None,
    *,
    full: bool = False,
) -> Report:
    """Check the log as it stands at this moment, from where the last verification ended.

    Without a signer no signature is checked, and everything is read. If nothing is off, what was
    read is signed, and once `remember`ed, the next verification begins there.
    """
    snapshot = Snapshot(database)
    report = Report()
    try:
        with snapshot.transaction() as session:
            at_least = 0 if full else _size_before(session, signer)
        # First: the log may only be longer than it.
        outside = log_check.look_outside(anchors, signer, at_least)
        with snapshot.transaction() as session:
            start = _start(session, signer, full=full)
            report.verified_from = start.known.size
            report.add(start.doubts)
            report.add(_findings(session, report, start.known, signer, outside))
            report.notes += gaps.notes(session, start.known.size)
            head = None if report.faults else _head(session, report.positions)
    finally:
        snapshot.close()
    if signer is not None and head is not None:
        report.signed = signer.sign(head.text, head.origin)
    return report


def remember(database: Database, report: Report, keyring: Keyring | None = None) -> None:
    """Record that there was a verification and what it found; with a keyring alert of it."""
    with database.transaction() as session:
        session.add(
            Verification(
                at=control_database.now(session),
                size=report.positions,
                full=not report.verified_from,
                integrity=report.integrity,
                completeness=report.completeness,
                note=report.signed,
            )
        )
        if keyring is not None:
            alarm.sound(session, keyring, report)


def _findings(
    session: Session, report: Report, start: CompactRange, signer: Signer | None, outside: Outside
) -> Iterator[Finding]:
    times = TrustedTimes(session, signer, start.size)
    yield from run_check.check(session, report, start.size, times)
    yield from manifest_check.check(session, start.size)
    yield from gaps.unsequenced(session)
    yield from log_check.check(session, report, start, signer, outside)
    report.waiting = session.scalar(select(func.count()).select_from(Unsequenced)) or 0


def _start(session: Session, signer: Signer | None, *, full: bool) -> Start:
    """The last verified point, if its signature and its root still hold."""
    last = _last_signed(session)
    if full or signer is None or last is None:
        return Start(CompactRange())
    head = checkpoints.opened(str(last.note), signer)
    if head is None or not head.origin.endswith(_VERIFIED):
        doubt = "The last verification was signed by no key of TEND_AUDIT_KEYS, or altered."
        return Start(CompactRange(), (finding(doubt),))
    try:
        known = tree.frontier(session, head.size)
    except LogAltered:
        known = CompactRange()
    if known.root == head.root:
        return Start(known)
    doubt = f"The first {head.size:,} positions are no longer those that were verified."
    return Start(CompactRange(), (finding(doubt),))


def _last_signed(session: Session) -> Verification | None:
    signed = select(Verification).where(Verification.note.is_not(None))
    return session.scalars(signed.order_by(Verification.id.desc()).limit(1)).first()


def _size_before(session: Session, signer: Signer | None) -> int:
    """Up to where the anchors were compared before."""
    last = _last_signed(session)
    if last is None or signer is None:
        return 0
    head = checkpoints.opened(str(last.note), signer)
    return 0 if head is None else head.size


def _head(session: Session, size: int) -> Head | None:
    """What was verified, to be signed; None if there is no log yet."""
    newest = checkpoints.latest(session)
    if newest is None:
        return None
    moment = control_database.now(session)
    return Head(newest.origin + _VERIFIED, size, tree.root(session, size), moment)
