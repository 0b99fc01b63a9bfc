"""Sending what is owed, beside everything else: a channel that is dead delays only notices."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker import database
from worker.database import Database
from worker.keys import Keyring
from worker.notices.channels import Channel, Channels
from worker.notices.notices import FAMILY, name_of
from worker.tables import Notice
from worker.vault import open_vault

log = structlog.get_logger()

SECONDS = 2
APART = timedelta(seconds=10)
"""Between two messages: what comes meanwhile goes out together."""
AT_ONCE = 20
"""Notices in one message; of the others it says how many there are."""
CLAIMED = timedelta(seconds=60)
"""So long nobody else sends what one scheduler is sending."""
KEPT = timedelta(days=1)
"""What no channel took in a day is given up; it is news no longer."""
LONGEST = timedelta(minutes=10)


def deliver(db: Database, keyring: Keyring, channels: Channels, environment: str) -> int:
    """Send one message of what is owed, to each channel what it has not had; returns how many."""
    with db.transaction() as session:
        _give_up(session)
        owed = _claim(session, channels)
        key = open_vault(session, keyring, FAMILY) if owed else None
    if key is None:
        return 0
    texts = {each.id: key.open(each.text, name_of(each.cause)).decode() for each in owed}
    took: dict[int, list[str]] = {each.id: list(each.delivered) for each in owed}
    for channel in channels.all:
        missing = [
            each
            for each in owed
            if channel in channels.of(escalates=each.escalates)
            and channel.digest not in took[each.id]
        ]
        if missing and _send(channel, missing, texts, environment):
            for each in missing:
                took[each.id].append(channel.digest)
    with db.transaction() as session:
        for each in owed:
            _settle(session, each, took[each.id], channels.of(escalates=each.escalates))
    return len(owed)


def _claim(session: Session, channels: Channels) -> Sequence[Notice]:
    moment = database.now(session)
    last = session.scalar(select(func.max(Notice.sent_at)))
    if not channels.all or (last is not None and last > moment - APART):
        return ()
    waiting = select(Notice).where(
        Notice.sent_at.is_(None), Notice.given_up_at.is_(None), Notice.not_before <= moment
    )
    if not channels.everybody:
        waiting = waiting.where(Notice.escalates)
    order = waiting.order_by(Notice.urgent.desc(), Notice.id).with_for_update(skip_locked=True)
    owed = session.scalars(order).all()
    for each in owed:
        each.not_before = moment + CLAIMED
        each.attempts += 1
    return owed


def _send(
    channel: Channel, owed: Sequence[Notice], texts: dict[int, str], environment: str
) -> bool:
    lines = [texts[each.id] for each in owed[:AT_ONCE]]
    if len(owed) > AT_ONCE:
        lines.append(f"and {len(owed) - AT_ONCE} more, which Tend's own lists show.")
    count = "a notice" if len(owed) == 1 else f"{len(owed)} notices"
    urgent = any(each.urgent for each in owed)
    sent = channel.send(f"Tend [{environment}]: {count}", "\n".join(lines), urgent=urgent)
    if not sent:
        log.warning("channel did not take notices", channel=channel.digest, notices=len(owed))
    return sent


def _settle(session: Session, owed: Notice, took: list[str], channels: Sequence[Channel]) -> None:
    moment = database.now(session)
    is_sent = {channel.digest for channel in channels} <= set(took)
    wait = min(APART * 2**owed.attempts, LONGEST)
    session.execute(
        update(Notice)
        .where(Notice.id == owed.id)
        .values(delivered=took, sent_at=moment if is_sent else None, not_before=moment + wait)
    )


def _give_up(session: Session) -> None:
    moment = database.now(session)
    late = update(Notice).where(
        Notice.sent_at.is_(None), Notice.given_up_at.is_(None), Notice.at < moment - KEPT
    )
    lost = database.rows_changed(session, late.values(given_up_at=moment))
    if lost:
        log.error("notices reached nobody in a day", notices=lost)
