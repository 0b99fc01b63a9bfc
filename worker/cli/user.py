"""`tend user`: who logs in to the console with a password, and the link that lets in once."""

import getpass
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy import select

from worker import users
from worker.audit.entries import stamp
from worker.cli import context, options, output
from worker.errors import UsageError
from worker.identity import Role
from worker.passwords import LONGEST
from worker.tables import User

app = typer.Typer(add_completion=False, no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The person's name, such as ann.")]
Anybody = Annotated[str, typer.Argument(metavar="NAME", help="Such as ann, or oidc:ann.")]


@app.command()
def create(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="What the user may do.")],
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Create a user; the password is asked for, or read from standard input."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        user = users.create(control, name, role, _password(), person)
    _show(settings.env, user, as_json=as_json)


@app.command()
def password(
    name: Name,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Give a user another password; their sessions end, and a disabled user is let in again."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        user = users.set_password(control, name, _password(), person)
    _show(settings.env, user, as_json=as_json)


@app.command()
def disable(
    name: Name,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let a user in no longer; what they did stays on record."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        user = users.disable(control, name, person)
    _show(settings.env, user, as_json=as_json)


@app.command()
def logout(
    name: Anybody,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Log a person out everywhere, one of the login provider's too; they may log in again."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        number = users.end_sessions(control, name, person)
    if as_json:
        output.print_json({"name": name, "sessions": number})
        return
    output.heading(output.console(), settings.env, f"{name}: {number} sessions ended")


@app.command("list")
def list_users(as_json: options.Json = False) -> None:
    """List every user there ever was."""
    settings = context.load_settings()
    with context.control(settings) as control, control.reading() as session:
        found = [_as_json(user) for user in session.scalars(select(User).order_by(User.name))]
    if as_json:
        output.print_json({"users": found})
        return
    out = output.console()
    output.heading(out, settings.env, f"{len(found)} users" if found else "no users")
    names = ("name", "role", "state", "created by", "reason")
    columns = ("name", "role", "state", "created_by", "reason")
    output.table(out, names, ([str(each[name]) for name in columns] for each in found))


@app.command()
def link(
    name: Name,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Print what lets its holder in as this user, once and soon."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        path = f"/login/once/{users.login_link(control, name, person)}"
    minutes = users.LINK_LIFETIME.seconds // 60
    if as_json:
        output.print_json({"user": name, "path": path, "minutes": minutes})
        return
    out = output.console()
    output.heading(out, settings.env, f"a login of {name}, for once and {minutes} minutes")
    out.print("Open this path behind the console's address:")
    out.print(path)


def _password() -> str:
    """From a prompt that shows nothing, asked twice; or one line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(4 * LONGEST).rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != first:
        raise UsageError("The two passwords differ; nothing was changed.")
    return first


def _show(environment: str, user: User, *, as_json: bool) -> None:
    document = _as_json(user)
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    output.heading(out, environment, f"{user.name}: {user.role}, {document['state']}")


def _as_json(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "state": "enabled" if user.disabled_at is None else "disabled",
        "created_at": stamp(user.created_at),
        "created_by": user.created_by,
        "reason": user.reason,
        "password_at": stamp(user.password_at),
        "password_by": user.password_by,
        "disabled_at": _time(user.disabled_at),
        "disabled_by": user.disabled_by,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)
