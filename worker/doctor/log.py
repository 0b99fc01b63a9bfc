"""The audit log: signed of late, by a key that is here, verified of late, and anchored."""

from datetime import datetime, timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from worker import database
from worker.audit import anchors, checkpoints, keeping
from worker.audit.sequencer import HEARTBEAT_EVERY
from worker.doctor.check import Check, Site, Verdict, failed, ok, warning
from worker.doctor.control import opened
from worker.tables import Checkpoint, Entry, Unsequenced, Verification

OVERDUE = 2 * HEARTBEAT_EVERY
"""A log that nobody adds to is signed at every heartbeat."""
STALE = timedelta(hours=36)
"""Somebody verifies every night."""
_KEYS, _ANCHORS = "TEND_AUDIT_KEYS", "TEND_ANCHOR_URL"


def _signed(site: Site) -> Verdict:
    """Whether the newest checkpoint was signed by a key that is set here, and lately."""
    signer = keeping.signer_of(site.settings)
    if signer is None:
        return failed(
            f"{_KEYS} is not set: entries get no position and nothing is signed; set the key that "
            "signed the log so far, or a new one."
        )
    with opened(site) as control, control.transaction() as session:
        moment = database.now(session)
        last = checkpoints.latest(session)
        waiting = session.scalar(select(func.count()).select_from(Unsequenced)) or 0
        oldest = _oldest_waiting(session)
    if last is not None and checkpoints.opened(last.note, signer) is None:
        return failed(
            f"Checkpoint c-{last.id} was signed by no key of {_KEYS}, or altered: put the key back "
            "that signed it; if it was this one, `tend audit verify --full` says what was altered."
        )
    if oldest is not None and moment - oldest > OVERDUE:
        return failed(
            f"{waiting:,} entries wait for their positions since {_ago(moment - oldest)} ago; "
            "start a scheduler with the key, and read in its log why it adds nothing."
        )
    if last is None:
        return ok("Nothing was signed yet; the first entry will be.")
    if moment - last.at > OVERDUE:
        return warning(
            f"The last checkpoint is {_ago(moment - last.at)} old; start a scheduler, which signs "
            "one every ten minutes at least."
        )
    age = _ago(moment - last.at)
    return ok(f"Checkpoint c-{last.id} over {last.size:,} entries was signed {age} ago.")


def _verified(site: Site) -> Verdict:
    with opened(site) as control, control.transaction() as session:
        moment = database.now(session)
        last = _last(session, is_full=False)
        full = _last(session, is_full=True)
        is_begun = session.scalar(select(exists().where(Checkpoint.at < moment - STALE)))
    if last is not None and (last.integrity or last.completeness):
        return failed(
            f"The last verification, {_ago(moment - last.at)} ago, found {last.integrity:,} things "
            f"against the log's integrity and {last.completeness:,} against its completeness; "
            "`tend audit verify --full` lists them."
        )
    if full is None or moment - full.at > STALE:
        when = "never" if full is None else f"last {_ago(moment - full.at)} ago"
        says = f"All of the log was verified {when}; enable the policy audit-verification."
        return warning(says) if is_begun or full is not None else ok(says)
    return ok(
        f"All {full.size:,} entries were verified {_ago(moment - full.at)} ago, and nothing was "
        "off: neither integrity nor completeness."
    )


def _anchored(site: Site) -> Verdict:
    store, signer = anchors.from_settings(site.settings), keeping.signer_of(site.settings)
    if store is None:
        says = (
            f"{_ANCHORS} is not set: whoever owns the database can drop the end of the log unseen; "
            "name a folder or an object store that others look after."
        )
        return ok(says) if site.settings.env == "development" else warning(says)
    if signer is None:
        return failed(f"Without {_KEYS} nobody can tell what the anchors say; set it.")
    newest = store.newest(signer)
    with opened(site) as control:
        keeping.require_anchored(site.settings, control)
        with control.transaction() as session:
            last = checkpoints.latest(session)
    if newest is None:
        says = f"The store in {_ANCHORS} can be read and holds no checkpoint yet"
        return ok(f"{says}.") if last is None else warning(f"{says}; see that a scheduler runs.")
    behind = 0 if last is None else last.size - newest.size
    says = f"The newest anchor, over {newest.size:,} entries, is of this log"
    if behind and last is not None and last.at - newest.at > OVERDUE:
        return failed(
            f"{says}, but {behind:,} signed ones are in none; see in the scheduler's log why none "
            "is written."
        )
    return ok(f"{says}; {behind:,} signed ones came since.")


def _oldest_waiting(session: Session) -> datetime | None:
    waiting = select(func.min(Entry.at)).join(Unsequenced, Unsequenced.entry_id == Entry.id)
    return session.scalar(waiting)


def _last(session: Session, *, is_full: bool) -> Verification | None:
    newest = select(Verification).order_by(Verification.id.desc()).limit(1)
    return session.scalars(newest.where(Verification.full) if is_full else newest).first()


def _ago(age: timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    if minutes < 1:
        return f"{age.total_seconds():.0f} s"
    return f"{minutes:,} min" if minutes < 120 else f"{minutes // 60:,} h"


CHECKS = (
    Check("audit_log", _KEYS, _signed),
    Check("audit_verification", "TEND_DATABASE_URL", _verified),
    Check("audit_anchors", _ANCHORS, _anchored),
)
