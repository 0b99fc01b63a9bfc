"""What every command needs before it does anything: settings, logs, control database, person."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import ContextVar

from worker import bootstrap, logs, operations
from worker.archive import ArchiveStore
from worker.database import Database
from worker.identity import Actor
from worker.keys import Keyring
from worker.operations import Person
from worker.registry import Policies
from worker.settings import Settings
from worker.targets.kinds import kinds_set

WHO: ContextVar[Actor] = ContextVar("who")
"""Who types this command; `admission` finds it out before the command begins."""
SETTINGS: ContextVar[Settings] = ContextVar("settings")
"""What it read for that."""


def load_settings() -> Settings:
    """The settings, and logs that do not talk across a command's own words.

    With `TEND_LOG=json` warnings and errors are logged, traces and all.
    """
    settings = SETTINGS.get()
    logs.configure(settings)
    quiet = settings.log == "console"
    logging.getLogger().setLevel(logging.CRITICAL if quiet else logging.WARNING)
    return settings


@contextmanager
def control(settings: Settings) -> Iterator[Database]:
    """The control database, migrated to this code."""
    with closing(bootstrap.open_database(settings)) as database:
        yield database


def as_owner(settings: Settings) -> Settings:
    """The same for whoever owns the control database's tables, if that is somebody else."""
    owner = settings.database_owner_url or settings.database_url
    return settings.model_copy(update={"database_url": owner})


def need_target(settings: Settings) -> None:
    """Raise `SettingError` unless everything is set that changing data takes."""
    kinds_set(settings)
    ArchiveStore(settings.need("archive_url"))
    Keyring.from_settings(settings)


def load_policies(settings: Settings) -> Policies:
    return Policies.load(settings.policy_directories)


def person(reason: str, on_behalf_of: str | None) -> Person:
    """Who asks, as far as this process knows."""
    return operations.person(WHO.get(), reason, on_behalf_of)
