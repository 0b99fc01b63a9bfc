"""Tokens: shown once, kept as hashes, over some day, and made by those who may."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from tests.docs.pages import PAGES, blocks
from worker import tokens
from worker.database import Database
from worker.errors import NotAllowed, TokenRefused, UsageError
from worker.identity import Actor, Role
from worker.operations import Person
from worker.tables import Entry, Table, Token

DAY = timedelta(days=1)
CLAIMED = Person(Actor("root@db", "claimed", account="root@db"), "the first one")


def admin(control: Database) -> Person:
    made = tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    return Person(tokens.authenticate(control, made.text), "a test")


def token(control: Database, role: Role, *, lifetime: timedelta = DAY) -> tokens.Created:
    return tokens.create(control, "ann", role, lifetime, admin(control))


def set_columns(control: Database, made: tokens.Created, **columns: object) -> None:
    with control.transaction() as session:
        session.execute(update(Token).where(Token.id == made.row.id).values(**columns))


def everything(control: Database) -> str:
    """The whole control database as text."""
    with control.transaction() as session:
        tables = Table.metadata.sorted_tables
        return str([session.execute(select(table)).all() for table in tables])


def test_a_token_proves_its_name_and_role(control: Database) -> None:
    made = token(control, Role.OPERATOR)
    actor = tokens.authenticate(control, made.text)
    assert (actor.name, actor.proof, actor.role) == ("ann", "token", Role.OPERATOR)
    assert actor.token == tokens.token_id(made.row)


def test_the_text_of_a_token_is_kept_nowhere(control: Database) -> None:
    made = token(control, Role.VIEWER)
    match = re.fullmatch(r"tend_\d+_([0-9a-f]{64})", made.text)
    assert match is not None
    assert made.row.digest in everything(control)
    assert match[1] not in everything(control)


def test_two_tokens_have_nothing_in_common(control: Database) -> None:
    who = admin(control)
    one, other = (tokens.create(control, "ann", Role.VIEWER, DAY, who).text for _ in range(2))
    assert one.rpartition("_")[2] != other.rpartition("_")[2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: re.sub(r"tend_\d+_", "tend_999_", text),
        lambda text: re.sub(r"tend_\d+_", "tend_1_", text),
        lambda text: text[:-1],
        lambda _: "",
        lambda _: "tend_1_" + "0" * 64,
    ],
)
def test_a_wrong_token_proves_nothing(control: Database, spoil: object) -> None:
    made = token(control, Role.ADMIN)
    assert callable(spoil)
    with pytest.raises(TokenRefused, match="is no token of this control database"):
        tokens.authenticate(control, spoil(made.text))


def test_an_expired_token_says_whose_it_was_and_since_when(control: Database) -> None:
    made = token(control, Role.ADMIN)
    past = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    set_columns(control, made, expires_at=past)
    says = "holds t-2 of ann, which expired on 2026-03-01 12:00 UTC"
    with pytest.raises(TokenRefused, match=says):
        tokens.authenticate(control, made.text)


def test_a_revoked_token_is_refused_at_once(control: Database) -> None:
    who = admin(control)
    made = tokens.create(control, "ann", Role.ADMIN, DAY, who)
    tokens.revoke(control, "t-2", who)
    with pytest.raises(TokenRefused, match="holds t-2 of ann, which was revoked on "):
        tokens.authenticate(control, made.text)
    with pytest.raises(UsageError, match="t-2 of ann was revoked by root"):
        tokens.revoke(control, "t-2", who)


def test_the_first_token_is_an_admins_and_anybody_with_the_database_makes_it(
    control: Database,
) -> None:
    with pytest.raises(NotAllowed, match="No admin has a valid token yet"):
        tokens.create(control, "ann", Role.OPERATOR, DAY, CLAIMED)
    tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    for role in Role:
        with pytest.raises(NotAllowed, match="Only an admin may create tokens"):
            tokens.create(control, "mallory", role, DAY, CLAIMED)


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_when_no_admin_is_left_the_database_makes_another(control: Database, end: str) -> None:
    made = tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    past = datetime(2026, 3, 1, tzinfo=UTC)
    set_columns(control, made, **{"expires_at" if end == "expired" else "revoked_at": past})
    again = tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    assert tokens.authenticate(control, again.text).role == Role.ADMIN


def test_what_the_page_says_lets_somebody_in_when_the_last_admins_token_is_lost(
    control: Database,
) -> None:
    lost = tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    (statement,) = blocks(PAGES["docs/settings.md"], "sql")
    with control.transaction() as session:
        session.execute(text(statement))
    with pytest.raises(TokenRefused, match="which expired on"):
        tokens.authenticate(control, lost.text)
    again = tokens.create(control, "root", Role.ADMIN, DAY, CLAIMED)
    assert tokens.authenticate(control, again.text).role == Role.ADMIN


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
def test_nobody_but_an_admin_creates_or_revokes(control: Database, role: Role) -> None:
    made = token(control, role)
    who = Person(tokens.authenticate(control, made.text), "to help myself")
    with pytest.raises(NotAllowed, match="Only an admin may create tokens"):
        tokens.create(control, "ann", Role.ADMIN, DAY, who)
    for nobody in (who, CLAIMED):
        with pytest.raises(NotAllowed, match="Only an admin may revoke tokens"):
            tokens.revoke(control, "t-1", nobody)


@pytest.mark.parametrize(
    "name", ["", "A", "Ann", "ann@desk", "a b", "7up", "tend-worker", "a" * 64]
)
def test_a_name_cannot_be_mistaken_for_another_identity(control: Database, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a token"):
        tokens.create(control, name, Role.ADMIN, DAY, CLAIMED)


@pytest.mark.parametrize("lifetime", [timedelta(), timedelta(seconds=-1), timedelta(days=367)])
def test_every_token_is_over_some_day(control: Database, lifetime: timedelta) -> None:
    with pytest.raises(UsageError, match="--expires must be longer than 0 and at most 366d"):
        tokens.create(control, "root", Role.ADMIN, lifetime, CLAIMED)


def test_an_unknown_token_cannot_be_revoked(control: Database) -> None:
    who = admin(control)
    for unknown in ("t-9", "ann", ""):
        with pytest.raises(UsageError, match="`tend token list` shows their ids"):
            tokens.revoke(control, unknown, who)


def test_creating_and_revoking_are_on_record_with_who_and_why(control: Database) -> None:
    who = admin(control)
    tokens.create(control, "ann", Role.OPERATOR, DAY, who)
    tokens.revoke(control, "t-2", who)
    with control.transaction() as session:
        entries = session.scalars(select(Entry).order_by(Entry.id)).all()
    first, created, revoked = (json.loads(entry.body) for entry in entries)
    assert (first["action"], first["actor"], first["actor_token"]) == (
        "token_created",
        "root@db",
        None,
    )
    detail = created["detail"]
    assert (detail["token"], detail["name"], detail["role"]) == ("t-2", "ann", "operator")
    assert (created["actor"], created["actor_token"]) == ("root", "t-1")
    assert (revoked["action"], revoked["detail"]["reason"]) == ("token_revoked", "a test")
