"""Approve, reject and override, each typed by somebody with a token of their own."""

import pytest
from cryptography.fernet import Fernet

from tests.worker.audit import keeping
from tests.worker.cli.conftest import AMPLE, Ended, Tend

REASON = ("--reason", "CASE-21")


class Team:
    """People at computers of their own, each with a token."""

    def __init__(self, tend: Tend) -> None:
        self.tend = tend
        self.tokens: dict[str, str] = {}
        self.join("root", "admin")
        for name, role in (("ann", "operator"), ("bob", "approver"), ("cleo", "approver")):
            self.join(name, role)

    def join(self, name: str, role: str) -> None:
        self.sit_down("root")
        made = self.tend.json("token", "create", name, "--role", role, *REASON)
        self.tokens[name] = made["token"]

    def sit_down(self, name: str) -> None:
        self.tend.setting("LOGNAME", name)
        if name in self.tokens:
            self.tend.setting("TEND_TOKEN", self.tokens[name])

    def __call__(self, name: str, *words: str) -> Ended:
        self.sit_down(name)
        return self.tend(*words)


@pytest.fixture
def team(tend: Tend) -> Team:
    """In production, where a claimed identity does not do."""
    tend.setting("TEND_ENV", "production")
    tend.setting("TEND_KEYS", Fernet.generate_key().decode())
    tend.setting("TEND_AUDIT_KEYS", keeping.KEY)
    tend.setting("TEND_LOG", "console")
    tend.old_sales(30)
    tend.policy("sales-retention", AMPLE + "approval: required\n")
    return Team(tend)


def left(team: Team) -> int:
    return team.tend.shop.salesData.count_documents({})


def state(team: Team, run: str = "r-1") -> str:
    return str(team.tend.json("show", run)["state"])


RUN = ("run", "sales-retention", *REASON, "--inline")


def test_a_run_waits_for_another_person_with_code_4_and_goes_on_when_they_approve(
    team: Team,
) -> None:
    asked = team("ann", *RUN)
    assert asked.code == 4
    says = "r-1 waits for approval by someone other than ann: `tend approve r-1`, or `tend reject`."
    assert asked.err.splitlines()[-1] == says
    assert left(team) == 30
    approved = team("bob", "approve", "r-1", *REASON, "--inline", "--json")
    assert (approved.code, approved.json["state"], approved.json["changed"]) == (0, "succeeded", 30)
    assert approved.json["approval"] == {
        "cause": "its policy says `approval: required`",
        "asked_by": ["ann"],
        "overrides": [],
        "decided_by": "bob",
        "decision": "CASE-21",
    }
    assert left(team) == 0
    shown = team("ann", "show", "r-1").out
    assert "approved" in shown
    assert "by bob: CASE-21" in shown
    assert team.tend("audit", "verify").code == 0


def test_waiting_for_a_run_ends_with_code_4_when_it_is_parked(team: Team) -> None:
    """The plan is made beforehand, for nobody works on runs here."""
    team("ann", "plan", "sales-retention")
    asked = team("ann", "apply", "r-1", *REASON, "--wait", "--json")
    assert (asked.code, asked.json["state"]) == (4, "awaiting_approval")


def test_an_operator_is_refused_and_so_is_the_one_who_asked(team: Team) -> None:
    team("ann", *RUN)
    refused = team("ann", "approve", "r-1", *REASON, "--inline", "--on-behalf-of", "bob")
    assert (refused.code, refused.out) == (1, "")
    assert "ann is an operator, and `tend approve` takes an approver" in refused.err
    team("bob", "plan", "sales-retention")
    team("bob", "apply", "r-2", *REASON, "--inline")
    for behalf in ((), ("--on-behalf-of", "cleo")):
        own = team("bob", "approve", "r-2", *REASON, "--inline", *behalf)
        assert (own.code, own.out) == (1, "")
        assert "r-2 waits for somebody else than bob: bob asked for it." in own.err
    assert left(team) == 30


def test_two_names_at_one_account_are_one_person(team: Team) -> None:
    team("ann", *RUN)
    team.sit_down("bob")
    team.tend.setting("LOGNAME", "ann")
    ended = team.tend("approve", "r-1", *REASON, "--inline")
    assert ended.code == 1
    assert "ann and bob both acted as ann@" in ended.err
    assert state(team) == "awaiting_approval"


def test_outside_of_development_it_takes_a_token(team: Team) -> None:
    team("ann", *RUN)
    team.tend.patch.delenv("TEND_TOKEN")
    team.tend.setting("LOGNAME", "bob")
    for words in (("approve", "r-1"), ("reject", "r-1"), ("override", "r-1", "--guard", "x")):
        ended = team.tend(*words, *REASON)
        assert (ended.code, ended.out) == (1, "")
        assert f"`tend {words[0]}` takes a token outside of development" in ended.err
    own_word = team.tend(*RUN)
    assert own_word.code == 1
    assert "is only claimed" in own_word.err
    assert [run["id"] for run in team.tend.json("runs")["runs"]] == ["r-1"]


def test_to_call_production_development_does_not_help(team: Team) -> None:
    team("ann", *RUN)
    team.tend.patch.delenv("TEND_TOKEN")
    team.tend.setting("LOGNAME", "bob")
    team.tend.setting("TEND_ENV", "development")
    ended = team.tend("approve", "r-1", *REASON, "--inline")
    assert ended.code == 1
    assert "is only claimed" in ended.err
    assert state(team) == "awaiting_approval"


def test_a_rejected_run_says_by_whom_and_why(team: Team) -> None:
    team("ann", *RUN)
    rejected = team("bob", "reject", "r-1", *REASON)
    assert rejected.code == 0
    assert "r-1 of sales-retention: rejected" in rejected.out
    assert "by bob: CASE-21" in rejected.out
    assert left(team) == 30


def test_an_override_asks_for_approval_and_every_guard_needs_its_own(team: Team) -> None:
    team.tend.policy("sales-retention", "guards: {max_records: 5, max_percent: 10}\n")
    assert team("ann", *RUN).code == 3
    first = team("bob", "override", "r-1", "--guard", "max_records", *REASON)
    assert first.code == 3
    assert "tend override r-1 --guard max_percent" in first.out
    second = team("bob", "override", "r-1", "--guard", "max_percent", *REASON, "--json")
    assert (second.code, second.json["state"]) == (4, "awaiting_approval")
    overridden = second.json["approval"]["overrides"]
    assert [(one["guard"], one["actor"]) for one in overridden] == [
        ("max_records", "bob"),
        ("max_percent", "bob"),
    ]
    assert team("bob", "approve", "r-1", *REASON, "--inline").code == 1
    assert team("cleo", "approve", "r-1", *REASON, "--inline").code == 0
    assert left(team) == 0


def test_in_development_two_claimed_people_will_do(tend: Tend) -> None:
    tend.old_sales(3)
    tend.policy("sales-retention", AMPLE + "approval: required\n")
    tend.setting("LOGNAME", "ann")
    assert tend(*RUN).code == 4
    own = tend("approve", "r-1", *REASON, "--inline")
    assert own.code == 1
    assert "asked for it" in own.err
    tend.setting("LOGNAME", "bob")
    assert tend("approve", "r-1", *REASON, "--inline").code == 0


def test_without_a_worker_an_approval_is_accepted_and_the_run_waits(team: Team) -> None:
    team("ann", *RUN)
    accepted = team("bob", "approve", "r-1", *REASON, "--json")
    assert (accepted.code, accepted.json["state"]) == (0, "applying")
    assert "a worker; none is running" in accepted.json["waiting_for"]
