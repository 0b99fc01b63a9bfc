"""`tend token create`, `list` and `revoke`: who is who, and what they may do."""

from datetime import datetime
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from policies.durations import Age, Duration
from worker import database, tokens
from worker.audit.entries import stamp
from worker.cli import context, options, output
from worker.errors import UsageError
from worker.identity import Role
from worker.tables import Token

app = typer.Typer(add_completion=False, no_args_is_help=True)

_DURATION: TypeAdapter[Age] = TypeAdapter(Duration)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The person's name, such as ann.")],
    role: Annotated[Role, typer.Option("--role", help="What the token allows.")],
    reason: options.Reason,
    expires: Annotated[str, typer.Option("--expires", help="How long it is valid.")] = "90d",
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Create a token and show it, once; the first one is an admin's and needs none."""
    person = context.person(reason, on_behalf_of)
    lifetime = _lifetime(expires)
    settings = context.load_settings()
    with context.control(settings) as control:
        made = tokens.create(control, name, role, lifetime.delta, person)
    document = _as_json(made.row, "valid")
    if as_json:
        output.print_json({**document, "token": made.text})
        return
    out = output.console()
    output.heading(out, settings.env, f"{document['id']} of {name}: {role}")
    output.facts(out, [("expires", output.moment(made.row.expires_at))])
    out.print("It is shown this once; put it where only this person can read it:")
    out.print(made.text)


@app.command("list")
def list_tokens(as_json: options.Json = False) -> None:
    """List every token there ever was, without its text."""
    settings = context.load_settings()
    with context.control(settings) as control, control.transaction() as session:
        moment = database.now(session)
        rows = session.scalars(select(Token).order_by(Token.id)).all()
        found = [_as_json(row, tokens.state_of(row, moment)) for row in rows]
    if as_json:
        output.print_json({"tokens": found})
        return
    out = output.console()
    output.heading(out, settings.env, f"{len(found)} tokens" if found else "no tokens")
    names = ("token", "name", "role", "state", "expires", "created by", "reason")
    output.table(out, names, (_row(each) for each in found))


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="A token's id, such as t-17.")],
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """End a token at once; what its holder did stays on record."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as control:
        row = tokens.revoke(control, token, person)
    document = _as_json(row, "revoked")
    if as_json:
        output.print_json(document)
    else:
        output.heading(output.console(), settings.env, f"{document['id']} of {row.name}: revoked")


def _lifetime(text: str) -> Age:
    try:
        return _DURATION.validate_python(text)
    except ValidationError:
        raise UsageError(
            f"--expires {text} is no length of time; write it as 90d or 12h."
        ) from None


def _as_json(row: Token, state: str) -> dict[str, Any]:
    return {
        "id": tokens.token_id(row),
        "name": row.name,
        "role": row.role,
        "state": state,
        "created_at": stamp(row.created_at),
        "created_by": row.created_by,
        "reason": row.reason,
        "expires_at": stamp(row.expires_at),
        "revoked_at": _time(row.revoked_at),
        "revoked_by": row.revoked_by,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    expires = output.moment(each["expires_at"]) or ""
    said = (each["created_by"], each["reason"])
    return (each["id"], each["name"], each["role"], each["state"], expires, *said)
