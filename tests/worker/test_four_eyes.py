"""Who is somebody else: names, accounts and the age of a token, and never --on-behalf-of."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.worker.scenario import purge
from worker import database, four_eyes, runs, tokens, users
from worker.console import sessions
from worker.console.sessions import Proven
from worker.database import Database
from worker.errors import NotAllowed
from worker.identity import Actor, Role
from worker.operations import Person
from worker.runs import Request
from worker.tables import Run, Token

pytestmark = pytest.mark.sqlite_control

ANN = Actor("ann", "token", account="ann@laptop")
BOB = Actor("bob", "token", account="bob@desk")
CLAIMED_ANN = Actor("ann@laptop", "claimed", account="ann@laptop")
CLAIMED_BOB = Actor("bob@desk", "claimed", account="bob@desk")
SESSION = Actor("bob", "session")
AT_PROVIDER = Actor("oidc:ann", "session", account="oidc:4f2c")
RENAMED = replace(AT_PROVIDER, name="oidc:bea")


def run_of(
    control: Database, *askers: Actor, environment: str = "production", trigger: str = "manual"
) -> Run:
    """A run that these asked for, the first of them by creating it."""
    first = askers[0] if askers else Actor("tend-scheduler", "claimed")
    wanted = Request(purge(), environment, trigger, first, "x", apply_after_plan=True, inline=True)
    with control.transaction() as session:
        run = runs.create(session, wanted)
        for one in askers:
            run.asked_by = four_eyes.with_asker(run, one)
        return run


def judged(control: Database, run: Run, actor: Actor) -> str | None:
    """Why this person does not count as another, or None."""
    try:
        with control.transaction() as session:
            four_eyes.must_be_another(session, run, actor)
    except NotAllowed as error:
        return str(error)
    return None


@pytest.mark.parametrize("approver", [BOB, SESSION, Actor("oidc:bob", "session", account="oidc:9")])
def test_another_person_may_decide(control: Database, approver: Actor) -> None:
    assert judged(control, run_of(control, ANN), approver) is None


@pytest.mark.parametrize(
    ("askers", "approver", "why"),
    [
        ([ANN], ANN, "ann asked for it"),
        ([ANN], replace(ANN, account="ann@elsewhere"), "ann asked for it"),
        ([ANN], replace(ANN, on_behalf_of="bob"), "ann asked for it"),
        ([ANN], replace(SESSION, name="ann"), "ann asked for it"),
        ([ANN, BOB], BOB, "bob asked for it"),
        ([BOB, ANN], BOB, "bob asked for it"),
        ([ANN], replace(BOB, account="ann@laptop"), "ann and bob both acted as ann@laptop"),
        ([ANN], AT_PROVIDER, "ann and oidc:ann count as one person"),
        ([AT_PROVIDER], ANN, "oidc:ann and ann count as one person"),
        ([AT_PROVIDER], RENAMED, "oidc:ann and oidc:bea both acted as oidc:4f2c"),
        ([CLAIMED_ANN], BOB, "ann@laptop, which is only claimed"),
        ([ANN], CLAIMED_BOB, "bob@desk is only claimed"),
    ],
)
def test_the_same_person_under_another_name_is_no_other(
    control: Database, askers: list[Actor], approver: Actor, why: str
) -> None:
    assert why in str(judged(control, run_of(control, *askers), approver))


def test_nobody_asked_for_what_the_schedule_began(control: Database) -> None:
    run = run_of(control, trigger="schedule")
    assert (run.asked_by, four_eyes.names(run)) == ([], "the scheduler")
    assert judged(control, run, ANN) is None
    assert "only claimed" in str(judged(control, run, CLAIMED_ANN))


@pytest.mark.parametrize(
    ("asker", "approver", "is_another"),
    [
        (CLAIMED_ANN, CLAIMED_BOB, True),
        (CLAIMED_ANN, CLAIMED_ANN, False),
        (CLAIMED_ANN, replace(CLAIMED_ANN, on_behalf_of="bob"), False),
        (ANN, replace(BOB, account="ann@laptop"), True),
        (ANN, ANN, False),
    ],
)
def test_in_development_names_alone_are_compared(
    control: Database, asker: Actor, approver: Actor, is_another: bool
) -> None:
    run = run_of(control, asker, environment="development")
    assert (judged(control, run, approver) is None) == is_another


def test_the_environment_that_counts_is_the_runs_own(control: Database) -> None:
    run = run_of(control, CLAIMED_ANN, environment="staging")
    assert judged(control, run, CLAIMED_BOB) is not None


@pytest.mark.parametrize("made", ["before", "after"])
@pytest.mark.parametrize("by", ["the name of an asker", "their account", "somebody else"])
def test_nobody_makes_a_second_person_for_a_run_that_waits(
    control: Database, made: str, by: str
) -> None:
    root = tokens.create(
        control, "ann", Role.ADMIN, timedelta(days=1), Person(CLAIMED_ANN, "the first")
    )
    ann = replace(tokens.authenticate(control, root.text), account="ann@laptop")
    creators: dict[str, dict[str, Any]] = {
        "the name of an asker": {"created_by": "ann", "created_account": "elsewhere"},
        "their account": {"created_by": "ann@laptop", "created_account": "ann@laptop"},
        "somebody else": {"created_by": "cleo", "created_account": "cleo@desk"},
    }
    second = tokens.create(
        control, "bob", Role.APPROVER, timedelta(days=1), Person(ann, "a helper")
    )
    run = run_of(control, ann)
    with control.transaction() as session:
        shift = timedelta(seconds=-5 if made == "before" else 5)
        at = database.now(session) + shift
        values = {**creators[by], "created_at": at}
        session.execute(update(Token).where(Token.id == second.row.id).values(values))
    bob = replace(tokens.authenticate(control, second.text), account="bob@desk")
    says = judged(control, run, bob)
    if made == "after" and by != "somebody else":
        assert says == (
            f"r-{run.id} waits for somebody else than ann: ann made the token of bob after the run."
        )
    else:
        assert says is None


def logged_in(control: Database, way: str, by: str, account: str, age: timedelta) -> Actor:
    """bob, in a session of the console that this person could have begun, too."""
    with control.transaction() as session:
        moment = database.now(session)
        vouched = Proven("bob", Role.APPROVER, way, None, by, account, moment - age)
        secret = sessions.begin(session, vouched)
    users_bob = Person(Actor("root", "token", role=Role.ADMIN), "a test")
    if way != "oidc":
        users.create(control, "bob", Role.APPROVER, "correct horse battery", users_bob)
    return sessions.authenticate(control, secret).actor


@pytest.mark.parametrize(
    ("way", "by", "account", "age", "why"),
    [
        ("password", "ann", "x@y", timedelta(), "ann made the password of bob after the run"),
        ("password", "ann@laptop", "ann@laptop", timedelta(), "ann made the password of bob"),
        ("password", "ann", "x@y", timedelta(hours=1), None),
        ("password", "root", "root@db", timedelta(), None),
        ("link", "ann", "x@y", timedelta(hours=1), "ann made the link of bob"),
        ("link", "root", "root@db", timedelta(), None),
    ],
)
def test_who_could_log_in_as_another_is_no_other(
    control: Database, way: str, by: str, account: str, age: timedelta, why: str | None
) -> None:
    run = run_of(control, ANN)
    said = judged(control, run, logged_in(control, way, by, account, age))
    assert (said is None) if why is None else (why in str(said))
