"""Users of the console: made by admins alone, never with a password that is soon guessed."""

import json
from collections.abc import Callable

import pytest
from pwdlib import PasswordHash
from sqlalchemy import select

from worker import users
from worker.database import Database
from worker.errors import NotAllowed, UsageError
from worker.identity import Actor, Role
from worker.operations import Person
from worker.tables import Entry, Table, User

pytestmark = pytest.mark.sqlite_control

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody
CLAIMED = Person(Actor("root@db", "claimed", account="root@db"), "the first one")
ADMIN = Person(Actor("root", "token", role=Role.ADMIN), "a test")


def everything(control: Database) -> str:
    with control.transaction() as session:
        tables = Table.metadata.sorted_tables
        return str([session.execute(select(table)).all() for table in tables])


def test_the_first_user_is_an_admin_and_anybody_with_the_database_makes_it(
    control: Database,
) -> None:
    with pytest.raises(NotAllowed, match="There is no admin yet"):
        users.create(control, "ann", Role.OPERATOR, PASSWORD, CLAIMED)
    users.create(control, "root", Role.ADMIN, PASSWORD, CLAIMED)
    for role in Role:
        with pytest.raises(NotAllowed, match="Only an admin may create users"):
            users.create(control, "mallory", role, PASSWORD, CLAIMED)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.ADMIN])
def test_nobody_but_an_admin_changes_users(control: Database, role: Role) -> None:
    users.create(control, "ann", role, PASSWORD, ADMIN)
    who = Person(Actor("ann", "session", role=role), "to help myself")
    for person in (who, CLAIMED):
        with pytest.raises(NotAllowed, match="Only an admin may change users"):
            users.set_password(control, "ann", "another " + PASSWORD, person)
        with pytest.raises(NotAllowed, match="Only an admin may change users"):
            users.disable(control, "ann", person)
        with pytest.raises(NotAllowed, match="Only an admin may change users"):
            users.login_link(control, "ann", person)
        with pytest.raises(NotAllowed, match="Only an admin may change users"):
            users.end_sessions(control, "ann", person)


@pytest.mark.parametrize("password", ["", "short", "aaaaaaaaaaaaaaaa", "x1" * 200])
def test_a_password_that_is_no_good_is_refused(control: Database, password: str) -> None:
    with pytest.raises(UsageError, match="The password is "):
        users.create(control, "ann", Role.VIEWER, password, ADMIN)


def test_a_guess_at_a_password_costs_what_is_recommended(
    hasher: Callable[[], PasswordHash],
) -> None:
    assert hasher().hash(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_passwords_and_links_are_kept_nowhere(control: Database) -> None:
    users.create(control, "ann", Role.VIEWER, PASSWORD, ADMIN)
    secret = users.login_link(control, "ann", ADMIN)
    kept = everything(control)
    assert "$argon2id$" in kept
    assert PASSWORD not in kept
    assert secret not in kept


@pytest.mark.parametrize(
    "name", ["", "Ann", "ann@desk", "oidc:ann", "a b", "tend-worker", "a" * 64]
)
def test_a_name_cannot_be_mistaken_for_another_identity(control: Database, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a user"):
        users.create(control, name, Role.ADMIN, PASSWORD, CLAIMED)


def test_a_user_is_created_once_and_disabled_once(control: Database) -> None:
    users.create(control, "ann", Role.VIEWER, PASSWORD, ADMIN)
    with pytest.raises(UsageError, match="There is a user ann already"):
        users.create(control, "ann", Role.ADMIN, PASSWORD, ADMIN)
    users.disable(control, "ann", ADMIN)
    with pytest.raises(UsageError, match="ann was disabled by root"):
        users.disable(control, "ann", ADMIN)
    with pytest.raises(UsageError, match="ann is disabled"):
        users.login_link(control, "ann", ADMIN)
    with pytest.raises(UsageError, match="There is no user 'bob'"):
        users.disable(control, "bob", ADMIN)


def test_a_new_password_lets_a_disabled_user_in_again(control: Database) -> None:
    users.create(control, "ann", Role.VIEWER, PASSWORD, ADMIN)
    users.disable(control, "ann", ADMIN)
    users.set_password(control, "ann", "another " + PASSWORD, ADMIN)
    with control.transaction() as session:
        user = session.get_one(User, "ann")
    assert (user.disabled_at, user.password_by) == (None, "root")


def test_each_change_of_a_user_is_on_record_with_who_and_why(control: Database) -> None:
    users.create(control, "ann", Role.VIEWER, PASSWORD, ADMIN)
    users.login_link(control, "ann", ADMIN)
    users.set_password(control, "ann", "another " + PASSWORD, ADMIN)
    users.disable(control, "ann", ADMIN)
    with control.transaction() as session:
        found = [json.loads(one.body) for one in session.scalars(select(Entry).order_by(Entry.id))]
    assert [entry["action"] for entry in found] == [
        "user_created",
        "login_link_created",
        "user_password_set",
        "user_disabled",
    ]
    for entry in found:
        assert (entry["actor"], entry["detail"]["reason"]) == ("root", "a test")
        assert entry["detail"]["user"] == "ann"
