"""Alerts: one for each cause; told at first, daily and when over; escalated if nobody answers."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from jobs.task import Alert as Wanted
from tests.worker.alerts.conftest import PassTime
from tests.worker.receiver import Heard
from tests.worker.scenario import TESTER
from worker.alerts import alerts, answering, telling
from worker.alerts.events import RESPONSE, Severity
from worker.alerts.telling import Place
from worker.database import Database
from worker.errors import UnknownAlert, UsageError
from worker.keys import Keyring
from worker.notices import delivery
from worker.notices.channels import Channel, Channels
from worker.tables import Alert, Entry, Notice

pytestmark = pytest.mark.sqlite_control

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NOWHERE = Channel("json://localhost:9/nobody-listens")
PLACE = Place("test", "https://tend.example")
FAILED = Wanted("run_failed", "run/12", "r-12 of sales-retention failed.", next="tend show r-12")


@pytest.fixture
def site(control: Database, keyring: Keyring, pass_time: PassTime) -> "Site":
    return Site(control, keyring, pass_time)


class Site:
    """An installation whose scheduler tells and delivers when a test says so."""

    def __init__(self, control: Database, keyring: Keyring, pass_time: PassTime) -> None:
        self.control = control
        self.keyring = keyring
        self.pass_time = pass_time

    def raised(self, wanted: Wanted = FAILED) -> bool:
        with self.control.transaction() as session:
            return alerts.raise_alert(session, self.keyring, wanted)

    def cleared(self, cause: str = FAILED.cause) -> bool:
        with self.control.transaction() as session:
            return alerts.clear_alert(session, cause)

    def told(self) -> list[str]:
        """The kinds of messages that are owed anew."""
        before = self._causes()
        telling.tell(self.control, self.keyring, PLACE)
        return [cause.rpartition("/")[2] for cause in self._causes() if cause not in before]

    def deliver(self, *everybody: Channel, escalation: tuple[Channel, ...] = ()) -> int:
        self.pass_time(delivery.APART)
        channels = Channels(everybody, escalation)
        return delivery.deliver(self.control, self.keyring, channels, "test")

    def listed(self, *, over: bool = False) -> list[answering.Document]:
        with self.control.transaction() as session:
            return answering.listed(session, self.keyring, over=over)

    def _causes(self) -> list[str]:
        with self.control.transaction() as session:
            return list(session.scalars(select(Notice.cause).order_by(Notice.id)))


def test_of_one_cause_one_alert_stands_and_says_what_was_said_last(site: Site) -> None:
    assert site.raised()
    assert not site.raised(Wanted("run_failed", "run/12", "r-12 failed again."))
    (only,) = site.listed()
    assert only["text"] == "r-12 failed again."
    assert only["severity"] == "P1"


def test_people_are_told_first_then_daily_then_that_it_is_over(site: Site) -> None:
    site.raised()
    assert site.told() == ["first"]
    assert site.told() == []
    site.pass_time(DAY - MINUTE)
    assert site.told() == ["escalated"]
    site.pass_time(2 * MINUTE)
    assert site.told() == ["day-1"]
    site.pass_time(3 * DAY)
    assert site.told() == ["day-4"]
    assert site.told() == []
    assert site.cleared()
    assert site.told() == ["recovered"]
    assert site.told() == []


def test_what_was_over_before_anybody_was_told_is_told_to_nobody(site: Site) -> None:
    site.raised()
    assert site.cleared()
    assert not site.cleared()
    assert site.told() == []
    site.pass_time(2 * DAY)
    assert site.told() == []


def test_the_same_cause_after_recovery_is_a_new_alert(site: Site) -> None:
    site.raised()
    site.told()
    site.cleared()
    assert site.raised()
    assert site.told() == ["recovered", "first"]
    assert [each["id"] for each in site.listed(over=True)] == ["a-2", "a-1"]


def test_a_message_says_where_what_what_not_what_next_and_links_to_the_console(
    site: Site, heard: Heard
) -> None:
    channel, messages = heard
    site.raised()
    site.told()
    assert site.deliver(channel) == 1
    assert messages[0]["title"] == "Tend [test]: a notice"
    assert messages[0]["message"].splitlines() == [
        "[test] P1 a-1: A run failed (answer within 4 h)",
        "What happened: r-12 of sales-retention failed.",
        "Unaffected: Other policies, and what the run has changed and archived.",
        "Next: tend show r-12",
        "Acknowledge: tend alerts ack a-1 --reason …",
        "https://tend.example/alerts/a-1",
    ]


def test_recovery_says_how_long_it_lasted(site: Site, heard: Heard) -> None:
    channel, messages = heard
    site.raised()
    site.told()
    site.deliver(channel)
    site.pass_time(timedelta(hours=3))
    site.cleared()
    site.told()
    assert site.deliver(channel) == 1
    assert messages[1]["message"].splitlines()[0] == (
        "[test] P1 a-1: A run failed (RECOVERED after 3 h)"
    )


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        ("scheduler_missing", Severity.P0),
        ("run_failed", Severity.P1),
        ("guard_refused", Severity.P2),
        ("ends_soon", Severity.P3),
    ],
)
def test_nobody_answering_within_the_response_time_escalates_it_once(
    site: Site, heard: Heard, lead: Heard, event: str, severity: Severity
) -> None:
    site.raised(Wanted(event, "cause", "It happened."))
    site.told()
    site.pass_time(RESPONSE[severity] - MINUTE)
    assert "escalated" not in site.told()
    site.pass_time(2 * MINUTE)
    assert "escalated" in site.told()
    assert "escalated" not in site.told()
    site.deliver(heard[0], escalation=(lead[0],))
    assert len(lead[1]) == 1
    assert "ESCALATED: nobody acknowledged it in" in lead[1][0]["message"]
    assert "ESCALATED" not in heard[1][0]["message"]


def test_without_channels_to_escalate_to_everybody_is_told_again(site: Site, heard: Heard) -> None:
    channel, messages = heard
    site.raised()
    site.told()
    site.deliver(channel)
    site.pass_time(RESPONSE[Severity.P1])
    site.told()
    assert site.deliver(channel) == 1
    assert "ESCALATED" in messages[1]["message"]


def test_acknowledging_is_audited_ends_the_escalation_and_not_the_daily_message(
    site: Site, heard: Heard
) -> None:
    channel, messages = heard
    site.raised()
    site.told()
    answering.acknowledge(site.control, "a-1", TESTER)
    site.pass_time(DAY)
    assert site.told() == ["day-1"]
    site.deliver(channel)
    assert f"Acknowledged by {TESTER.actor.name}: {TESTER.reason}" in messages[0]["message"]
    with site.control.transaction() as session:
        entry = session.scalars(select(Entry).where(Entry.action == "alert_acknowledged")).one()
    assert b'"alert":"a-1"' in entry.body
    assert TESTER.reason.encode() in entry.body


def test_nobody_acknowledges_twice_nor_what_is_over_nor_what_never_was(site: Site) -> None:
    site.raised()
    answering.acknowledge(site.control, "a-1", TESTER)
    with pytest.raises(UsageError, match="was acknowledged by"):
        answering.acknowledge(site.control, "a-1", TESTER)
    site.cleared()
    with pytest.raises(UsageError, match="is over"):
        answering.acknowledge(site.control, "a-1", TESTER)
    with pytest.raises(UnknownAlert, match="There is no alert 'a-2'"):
        answering.acknowledge(site.control, "a-2", TESTER)


def test_an_alert_whose_transaction_fails_never_stood(site: Site) -> None:
    def fail() -> None:
        with site.control.transaction() as session:
            alerts.raise_alert(session, site.keyring, FAILED)
            raise ValueError("not after all")

    with pytest.raises(ValueError, match="after all"):
        fail()
    assert site.listed() == []


def test_words_lie_sealed_and_hold_no_address_and_no_secret(site: Site) -> None:
    site.raised(Wanted("needs_person", "pos/1", "Ask ann@example.com for password=hunter2 now."))
    (only,) = site.listed()
    assert only["text"] == "Ask [redacted] for password=[redacted] now."
    with site.control.transaction() as session:
        assert b"Ask" not in session.scalars(select(Alert.text)).one()


def test_an_event_that_the_table_lacks_is_told_all_the_same(site: Site) -> None:
    site.raised(Wanted("of tomorrow", "cause", "It happened."))
    assert site.listed()[0]["severity"] == "P2"
    assert site.told() == ["first"]


def test_the_worst_come_first(site: Site) -> None:
    for event in ("ends_soon", "scheduler_missing", "guard_refused"):
        site.raised(Wanted(event, event, "It happened."))
    assert [each["severity"] for each in site.listed()] == ["P0", "P2", "P3"]


def test_two_who_tell_at_once_tell_once(site: Site) -> None:
    site.raised()
    for _ in range(2):
        telling.tell(site.control, site.keyring, PLACE)
    with site.control.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Notice)) == 1


def test_a_dead_channel_holds_up_neither_raising_nor_clearing(site: Site, heard: Heard) -> None:
    channel, messages = heard
    site.raised()
    site.told()
    site.deliver(NOWHERE, channel)
    assert len(messages) == 1
    assert site.cleared()
    assert site.listed() == []
