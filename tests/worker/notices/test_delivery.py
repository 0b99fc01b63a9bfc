"""Notices: queued with what they announce, told once, together, and never in anybody's way."""

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from jobs.task import Notice as Wanted
from tests.worker.receiver import Heard
from worker.database import Database
from worker.errors import SettingError
from worker.keys import Keyring
from worker.notices import delivery, notices
from worker.notices.channels import Channel, Channels, channels_of
from worker.settings import Settings
from worker.tables import Notice

pytestmark = pytest.mark.sqlite_control

NOWHERE = Channel("json://localhost:9/nobody-listens")


def queue(control: Database, keyring: Keyring, *causes: str, urgent: bool = False) -> None:
    with control.transaction() as session:
        for cause in causes:
            notices.queue(session, keyring, Wanted(cause, f"this is {cause}", urgent))


def pass_time(control: Database, time: timedelta) -> None:
    with control.transaction() as session:
        for row in session.scalars(select(Notice)):
            row.at -= time
            row.not_before -= time
            row.sent_at = row.sent_at and row.sent_at - time


def test_what_waits_goes_out_in_one_message_and_once(
    control: Database, keyring: Keyring, heard: Heard
) -> None:
    channel, messages = heard
    queue(control, keyring, "one", "two", "one")
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 2
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 0
    queue(control, keyring, "two")
    pass_time(control, timedelta(hours=1))
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 0
    (message,) = messages
    assert message["title"] == "Tend [test]: 2 notices"
    assert message["message"] == "this is one\nthis is two"


def test_messages_keep_their_distance_and_what_comes_meanwhile_goes_together(
    control: Database, keyring: Keyring, heard: Heard
) -> None:
    channel, messages = heard
    queue(control, keyring, "first")
    delivery.deliver(control, keyring, Channels([channel]), "test")
    queue(control, keyring, *(f"burst {number}" for number in range(30)))
    queue(control, keyring, "the urgent one", urgent=True)
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 0
    pass_time(control, delivery.APART)
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 31
    assert len(messages) == 2
    lines = messages[1]["message"].splitlines()
    assert lines[0] == "this is the urgent one"
    assert lines[-1].startswith("and 11 more")


def test_a_dead_channel_delays_nobody_else_and_gets_its_own_later(
    control: Database, keyring: Keyring, heard: Heard
) -> None:
    channel, messages = heard
    queue(control, keyring, "cause")
    delivery.deliver(control, keyring, Channels([NOWHERE, channel]), "test")
    pass_time(control, delivery.LONGEST)
    delivery.deliver(control, keyring, Channels([NOWHERE, channel]), "test")
    assert len(messages) == 1
    with control.transaction() as session:
        (owed,) = session.scalars(select(Notice))
        assert (owed.attempts, owed.sent_at) == (2, None)
        assert owed.delivered == [channel.digest]


def test_what_nobody_took_in_a_day_is_given_up(control: Database, keyring: Keyring) -> None:
    queue(control, keyring, "cause")
    pass_time(control, delivery.KEPT + timedelta(minutes=1))
    assert delivery.deliver(control, keyring, Channels([NOWHERE]), "test") == 0
    with control.transaction() as session:
        assert session.scalar(select(Notice.given_up_at)) is not None


def test_a_notice_whose_transaction_fails_is_never_told(
    control: Database, keyring: Keyring, heard: Heard
) -> None:
    channel, messages = heard

    def announce() -> None:
        with control.transaction() as session:
            notices.queue(session, keyring, Wanted("cause", "text"))
            raise ValueError("not after all")

    with pytest.raises(ValueError, match="after all"):
        announce()
    assert delivery.deliver(control, keyring, Channels([channel]), "test") == 0
    assert messages == []


def test_its_text_lies_sealed_in_the_control_database(control: Database, keyring: Keyring) -> None:
    queue(control, keyring, "a user's name")
    with control.transaction() as session:
        session.execute(update(Notice).values(cause="x"))
        (row,) = session.scalars(select(Notice))
        assert b"this is" not in row.text


def test_a_url_that_no_service_is_known_for_is_refused_without_being_shown() -> None:
    settings = Settings(notify_urls=SecretStr("json://localhost nosuch://secret@host"))
    with pytest.raises(SettingError, match="position 2") as refused:
        channels_of(settings)
    assert "secret" not in str(refused.value)


def test_with_nobody_but_those_to_escalate_to_the_other_notices_wait(
    control: Database, keyring: Keyring, heard: Heard
) -> None:
    channel, messages = heard
    queue(control, keyring, "ordinary")
    with control.transaction() as session:
        notices.queue(session, keyring, Wanted("late", "nobody answers"), escalates=True)
    channels = Channels(escalation=[channel])
    assert delivery.deliver(control, keyring, channels, "test") == 1
    assert [message["message"] for message in messages] == ["nobody answers"]
    with control.transaction() as session:
        waiting = session.scalars(select(Notice.cause).where(Notice.sent_at.is_(None))).all()
    assert waiting == ["ordinary"]
