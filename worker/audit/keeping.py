"""Keeping the log: what every process that runs for long does for it, beside its work."""

from collections.abc import Iterator

import structlog

from worker.audit.sequencer import Sequencer
from worker.audit.signing import Signer
from worker.chores import Chore
from worker.database import Database
from worker.logs import safe_text
from worker.settings import Settings

KEEP_SECONDS = 1

log = structlog.get_logger()


def chores(settings: Settings, database: Database) -> Iterator[Chore]:
    """The chores of a scheduler or worker; without a key entries wait for one that has it."""
    if not can_sign(settings):
        log.warning("audit entries wait for their positions: TEND_AUDIT_KEYS is not set")
        return
    sequencer = Sequencer(database, Signer.from_settings(settings))
    yield Chore("audit log", sequencer.sequence, KEEP_SECONDS)


def keep_once(settings: Settings, database: Database) -> None:
    """At the end of a command that worked in its own process, where no other may run."""
    if not can_sign(settings):
        return
    try:
        Sequencer(database, Signer.from_settings(settings)).sequence()
    except Exception as error:
        log.warning("audit log not kept", why=safe_text(error), exc_info=error)


def can_sign(settings: Settings) -> bool:
    """Whether there is a key, or one may be made."""
    return settings.audit_keys is not None or settings.env == "development"
