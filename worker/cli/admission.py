"""Who may give a command: found out before it begins, in one place that none can forget."""

import functools
from typing import Any

from worker import access, identity, tokens
from worker.cli import context
from worker.errors import DatabaseNotMigrated, DatabaseUnreachable, SettingError, TokenRefused
from worker.identity import Actor, Role
from worker.settings import Settings


def guarded(name: str, command: Any) -> Any:
    """The command, and each below it, with the question of who asks put before it."""
    inner = getattr(command, "commands", {})
    for word, each in inner.items():
        guarded(f"{name} {word}", each)
    is_one = not inner or command.invoke_without_command
    if is_one and command.callback is not None:
        command.callback = _asked_first(name, command.callback)
    return command


def _asked_first(name: str, callback: Any) -> Any:
    @functools.wraps(callback)
    def command(*arguments: Any, **options: Any) -> Any:
        settings = Settings.load()
        actor = _who(name, settings)
        access.must_allow(name, actor, settings.env)
        who, read = context.WHO.set(actor), context.SETTINGS.set(settings)
        try:
            return callback(*arguments, **options)
        finally:
            context.WHO.reset(who)
            context.SETTINGS.reset(read)

    return command


def _who(name: str, settings: Settings) -> Actor:
    """The holder of TEND_TOKEN, or without one the claimed identity of this process.

    What only reads goes on if the control database cannot be asked: it is how one finds out.
    """
    if settings.token is None:
        return identity.claimed()
    try:
        with context.control(settings) as database:
            return tokens.authenticate(database, settings.token.get_secret_value())
    except (SettingError, DatabaseUnreachable, DatabaseNotMigrated) as error:
        if access.least(name) == Role.VIEWER:
            return identity.claimed()
        if name == "migrate" and isinstance(error, DatabaseNotMigrated):
            raise TokenRefused(
                "TEND_TOKEN cannot be checked before the control database is migrated; unset it "
                "for `tend migrate`."
            ) from error
        raise
