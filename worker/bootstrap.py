"""From settings to connections: what each process opens before it does anything."""

import gc
import os
import socket

from policies.subjects import load_subjects
from worker import identity, revisions
from worker.archive import ArchiveStore
from worker.audit import anchors, keeping
from worker.database import Database
from worker.engine import Engine
from worker.identity import Actor
from worker.keys import Keyring
from worker.settings import Settings
from worker.targets.kinds import open_targets


def open_database(settings: Settings) -> Database:
    """The control database, refused unless it is migrated to exactly this code."""
    database = Database(settings.need("database_url"), settings.revision)
    try:
        revisions.require_current(database)
    except BaseException:
        database.close()
        raise
    return database


def open_engine(
    settings: Settings, database: Database, actor: Actor | None = None, *, inline: bool = False
) -> Engine:
    """An engine for this process; its connections must not outlive a fork."""
    # A plan makes a million small objects and no cycles: looking for cycles less often saves a
    # tenth of its time.
    gc.set_threshold(50_000, 20, 20)
    archive = ArchiveStore(settings.need("archive_url"))
    keyring = Keyring.from_settings(settings)
    return Engine(
        database=database,
        targets=open_targets(settings),
        archive=archive,
        keyring=keyring,
        subjects=load_subjects(settings.policy_directories),
        actor=actor or identity.service("worker"),
        worker=f"{socket.gethostname()}/{os.getpid()}",
        is_inline=inline,
        redis_url=settings.redis_url.get_secret_value() if settings.redis_url else None,
        signer=keeping.signer_of(settings),
        anchors=anchors.from_settings(settings),
    )
