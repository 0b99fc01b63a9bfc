"""Logging in: what lets in, what does not, how long, and what is kept of it."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.worker.test_users import ADMIN, PASSWORD, everything
from worker import database, tokens, users
from worker.console import logins, sessions
from worker.database import Database
from worker.errors import LoginRefused, LoginThrottled, NotLoggedIn
from worker.identity import Role
from worker.tables import ConsoleSession, Entry, LoginAttempt, LoginLink

pytestmark = pytest.mark.sqlite_control

HERE = "192.0.2.1"


@pytest.fixture
def ann(control: Database) -> Database:
    """A control database in which ann is an operator."""
    users.create(control, "ann", Role.OPERATOR, PASSWORD, ADMIN)
    return control


def log_in(control: Database, name: str = "ann", password: str = PASSWORD) -> str:
    return logins.with_password(control, name, password, HERE)


def aged(control: Database, age: timedelta) -> None:
    """Every session and attempt is so much older."""
    with control.transaction() as session:
        moment = database.now(session) - age
        session.execute(update(ConsoleSession).values(seen_at=moment))
        session.execute(update(LoginAttempt).values(at=moment))
        session.execute(update(LoginLink).values(expires_at=moment))


def test_a_password_lets_in_as_its_user(ann: Database) -> None:
    login = sessions.authenticate(ann, log_in(ann))
    assert (login.actor.name, login.actor.proof, login.actor.role) == (
        "ann",
        "session",
        Role.OPERATOR,
    )
    assert login.actor.token == f"s-{login.id}"


@pytest.mark.parametrize(
    ("name", "password"),
    [("ann", "wrong"), ("ann", ""), ("bob", PASSWORD), ("", ""), ("ann", PASSWORD * 100)],
)
def test_whatever_is_wrong_the_answer_is_the_same(ann: Database, name: str, password: str) -> None:
    with pytest.raises(LoginRefused, match=r"^User and password do not fit together.$"):
        log_in(ann, name, password)


def test_a_disabled_user_is_let_in_no_longer_and_was_logged_out(ann: Database) -> None:
    secret = log_in(ann)
    users.disable(ann, "ann", ADMIN)
    with pytest.raises(NotLoggedIn):
        sessions.authenticate(ann, secret)
    with pytest.raises(LoginRefused, match=r"^User and password do not fit together.$"):
        log_in(ann)


def test_a_new_password_ends_sessions(ann: Database) -> None:
    secret = log_in(ann)
    users.set_password(ann, "ann", "another " + PASSWORD, ADMIN)
    with pytest.raises(NotLoggedIn):
        sessions.authenticate(ann, secret)


def test_a_session_ends_when_nothing_was_asked_for_a_while(ann: Database) -> None:
    secret = log_in(ann)
    aged(ann, sessions.IDLE - timedelta(minutes=5))
    sessions.authenticate(ann, secret, is_looking_on=True)
    sessions.authenticate(ann, secret)
    with ann.transaction() as session:
        row = session.scalars(select(ConsoleSession)).one()
        assert database.now(session) - row.seen_at < timedelta(minutes=4)
    aged(ann, sessions.IDLE)
    with pytest.raises(NotLoggedIn, match="Nothing was asked for an hour"):
        sessions.authenticate(ann, secret)


def test_looking_on_keeps_no_session_alive(ann: Database) -> None:
    secret = log_in(ann)
    aged(ann, timedelta(minutes=30))
    sessions.authenticate(ann, secret, is_looking_on=True)
    with ann.transaction() as session:
        row = session.scalars(select(ConsoleSession)).one()
        assert database.now(session) - row.seen_at >= timedelta(minutes=30)


def test_a_session_ends_after_its_longest_time_however_busy(ann: Database) -> None:
    secret = log_in(ann)
    with ann.transaction() as session:
        session.execute(update(ConsoleSession).values(expires_at=database.now(session)))
    with pytest.raises(NotLoggedIn, match="This session has ended"):
        sessions.authenticate(ann, secret)


def test_who_logs_out_is_out(ann: Database) -> None:
    secret = log_in(ann)
    sessions.end(ann, sessions.authenticate(ann, secret))
    with pytest.raises(NotLoggedIn):
        sessions.authenticate(ann, secret)


def test_a_made_up_secret_is_no_session(ann: Database) -> None:
    log_in(ann)
    for secret in ("", "0" * 64, sessions.new_secret()):
        with pytest.raises(NotLoggedIn, match="Log in first"):
            sessions.authenticate(ann, secret)


def test_a_link_lets_in_once(ann: Database) -> None:
    secret = users.login_link(ann, "ann", ADMIN)
    login = sessions.authenticate(ann, logins.with_link(ann, secret, HERE))
    assert (login.actor.name, login.way) == ("ann", "link")
    with pytest.raises(LoginRefused, match="used already, or its time is over"):
        logins.with_link(ann, secret, HERE)


def test_a_link_that_is_old_or_of_a_disabled_user_lets_nobody_in(ann: Database) -> None:
    secret = users.login_link(ann, "ann", ADMIN)
    aged(ann, timedelta())
    with pytest.raises(LoginRefused, match="used already, or its time is over"):
        logins.with_link(ann, secret, HERE)
    secret = users.login_link(ann, "ann", ADMIN)
    users.disable(ann, "ann", ADMIN)
    with pytest.raises(LoginRefused):
        logins.with_link(ann, secret, HERE)


def test_a_token_lets_in_until_it_is_revoked(ann: Database) -> None:
    made = tokens.create(ann, "bob", Role.APPROVER, timedelta(days=1), ADMIN)
    secret = logins.with_token(ann, f" {made.text}\n", HERE)
    actor = sessions.authenticate(ann, secret).actor
    assert (actor.name, actor.role, actor.proof) == ("bob", Role.APPROVER, "session")
    tokens.revoke(ann, tokens.token_id(made.row), ADMIN)
    with pytest.raises(NotLoggedIn):
        sessions.authenticate(ann, secret)
    with pytest.raises(LoginRefused, match="no token that is valid now"):
        logins.with_token(ann, made.text, HERE)


def test_failed_logins_of_a_name_make_its_next_ones_wait(ann: Database) -> None:
    for number in range(logins.MOST_OF_A_NAME):
        with pytest.raises(LoginRefused):
            logins.with_password(ann, "ann", "wrong", f"192.0.2.{number}")
    with pytest.raises(LoginThrottled, match="wait a quarter of an hour"):
        log_in(ann)
    aged(ann, logins.WINDOW)
    assert sessions.authenticate(ann, log_in(ann)).actor.name == "ann"


def test_failed_logins_from_an_address_make_its_next_ones_wait(ann: Database) -> None:
    with ann.transaction() as session:
        moment = database.now(session)
        for number in range(logins.MOST_OF_AN_ADDRESS):
            tried = LoginAttempt(at=moment, name=str(number), address=logins.digest(HERE))
            session.add(tried)
    for knock in (log_in, lambda control: logins.with_token(control, "tend_1_00", HERE)):
        with pytest.raises(LoginThrottled):
            knock(ann)
    secret = logins.with_password(ann, "ann", PASSWORD, "198.51.100.7")
    assert sessions.authenticate(ann, secret).actor.name == "ann"


def test_logins_that_succeed_count_for_nothing(ann: Database) -> None:
    for _ in range(3):
        log_in(ann)
    with ann.transaction() as session:
        assert session.scalars(select(LoginAttempt)).all() == []


def test_each_login_is_on_record_and_nothing_that_was_typed_is(ann: Database) -> None:
    for name in ("ann", "hunter2-typed-here"):
        with pytest.raises(LoginRefused):
            log_in(ann, name, "wrong password")
    secret = log_in(ann)
    sessions.end(ann, sessions.authenticate(ann, secret))
    with ann.transaction() as session:
        found = [json.loads(one.body) for one in session.scalars(select(Entry).order_by(Entry.id))]
    assert [(entry["action"], entry["actor"]) for entry in found[1:]] == [
        ("login_failed", "ann"),
        ("login_failed", "unknown"),
        ("logged_in", "ann"),
        ("logged_out", "ann"),
    ]
    assert found[3]["actor_proof"] == "session"
    kept = everything(ann)
    for said in ("hunter2", "wrong password", PASSWORD, HERE, secret):
        assert said not in kept


def test_a_form_of_one_session_does_not_fit_another(ann: Database) -> None:
    one, other = (sessions.authenticate(ann, log_in(ann)) for _ in range(2))
    assert one.csrf != other.csrf
    assert one.secret not in one.csrf
