"""`tend alerts`: what stands, one of them, and that somebody looks after it."""

from jobs.task import Alert as Wanted
from tests.worker.cli.conftest import Tend
from tests.worker.cli.test_documentation import keys_of
from worker import bootstrap
from worker.alerts import alerts
from worker.keys import Keyring
from worker.settings import Settings

WANTED = Wanted("guard_refused", "run/3", "r-3 of text-dates was refused.", next="tend show r-3")


def raised(wanted: Wanted) -> None:
    settings = Settings.load()
    database = bootstrap.open_database(settings)
    with database.transaction() as session:
        alerts.raise_alert(session, Keyring.from_settings(settings), wanted)
    database.close()


def test_where_nothing_is_wrong_it_says_so(bare: Tend) -> None:
    assert "no alerts" in bare("alerts").out


def test_what_stands_is_listed_shown_and_acknowledged(bare: Tend) -> None:
    raised(WANTED)
    listed = bare("alerts").out
    assert "a-1" in listed
    assert "r-3 of text-dates was refused." in listed
    assert "All records: nothing was changed." in bare("alerts", "show", "a-1").out
    shown = bare.json("alerts", "ack", "a-1", "--reason", "CASE-31: I look at it")
    assert (shown["state"], shown["acknowledgement"]) == ("acknowledged", "CASE-31: I look at it")
    again = bare("alerts", "ack", "a-1", "--reason", "CASE-31")
    assert again.code == 2
    assert "was acknowledged by" in again.err


def test_an_alert_that_never_was_is_refused(bare: Tend) -> None:
    ended = bare("alerts", "show", "a-7")
    assert ended.code == 2
    assert "There is no alert 'a-7'" in ended.err


def test_the_keys_of_an_alert_are_documented(bare: Tend) -> None:
    raised(WANTED)
    (found,) = bare.json("alerts")["alerts"]
    assert keys_of("JSON of alerts") == set(found)
