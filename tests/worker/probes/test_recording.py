"""What becomes of readings: rows of what is ill, one alert for each cause, a short history."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from jobs.probing import Look, Reading
from tests.worker.probes.kinds import Told, read
from tests.worker.probes.watch import Watch, probe
from worker import database
from worker.alerts import alerts
from worker.probes import history, recording
from worker.probes.glance import details, glance
from worker.probes.telling import Cause, named
from worker.tables import Alert, Entry, ProbeLook, ProbeState, ProbeTrouble, Run

pytestmark = pytest.mark.usefixtures("told")


def rows(watch: Watch, table: type) -> int:
    with watch.site.database.transaction() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_thousand_subjects_that_are_well_are_one_row_a_look_and_no_run_and_no_entry(
    watch: Watch, told: Told
) -> None:
    many = read(**{f"s{number}": False for number in range(1_000)})
    told.does = lambda _: many
    watch.look(probe("told", {}), 3)
    assert [rows(watch, table) for table in (ProbeLook, ProbeTrouble, Run, Entry)] == [3, 0, 0, 0]


def test_one_that_cannot_be_known_stays_as_it_was(watch: Watch, told: Told) -> None:
    wanted = probe("told", {})
    told.does = lambda _: read(a=True)
    watch.look(wanted, 2)
    told.does = lambda _: read(a=None)
    watch.look(wanted, 5)
    assert watch.alerts == [("probe/under-test/heat/a", True)]


def test_what_is_seen_no_more_is_well_after_a_whole_look_and_stands_after_another(
    watch: Watch, told: Told
) -> None:
    wanted = probe("told", {})
    told.does = lambda _: read(a=True)
    watch.look(wanted, 2)
    told.does = lambda _: Look((), is_whole=False)
    watch.look(wanted, 3)
    told.does = lambda _: Look((), unknown=("heat",))
    watch.look(wanted, 3)
    assert watch.alerts == [("probe/under-test/heat/a", True)]
    told.does = lambda _: Look(())
    watch.look(wanted, 3)
    assert watch.alerts == [("probe/under-test/heat/a", False)]


def test_a_cause_is_cleared_when_the_last_of_its_subjects_is_well(watch: Watch, told: Told) -> None:
    wanted = probe("told", {})

    def of_a_store(**ill: bool) -> Look:
        return Look(
            [Reading(name, "heat", each, "hot", cause="store 7") for name, each in ill.items()]
        )

    told.does = lambda _: of_a_store(a=True, b=True)
    watch.look(wanted, 2)
    told.does = lambda _: of_a_store(a=False, b=True)
    watch.look(wanted, 2)
    assert watch.alerts == [("probe/under-test/heat/store 7", True)]
    assert "a: hot" not in said(watch)
    told.does = lambda _: of_a_store(a=False, b=False)
    watch.look(wanted, 2)
    assert watch.alerts == [("probe/under-test/heat/store 7", False)]


def said(watch: Watch) -> str:
    with watch.site.database.transaction() as session:
        (alert,) = session.scalars(select(Alert)).all()
        return alerts.said(session, watch.keyring, alert).text


def test_an_alert_says_what_it_means_and_what_to_do_with_the_severity_of_the_probe(
    watch: Watch, told: Told
) -> None:
    told.does = lambda _: read(a=True)
    watch.look(probe("told", {}, severity={"heat": "P0"}), 2)
    assert "It is hot. Open a window." in said(watch)
    with watch.site.database.transaction() as session:
        assert session.scalars(select(Alert.severity)).all() == ["P0"]


def test_a_probe_that_is_switched_off_clears_what_stood(watch: Watch, told: Told) -> None:
    told.does = lambda _: read(a=True)
    watch.look(probe("told", {}), 2)
    watch.look(probe("told", {}, enabled=False))
    assert watch.alerts == [("probe/under-test/heat/a", False)]


def test_a_check_that_is_ignored_is_neither_told_nor_kept(watch: Watch, told: Told) -> None:
    told.does = lambda _: read(a=True)
    assert watch.look(probe("told", {}, ignore=["heat"]), 3) == []
    assert watch.alerts == []


def test_a_kind_that_breaks_is_told_and_clears_when_it_works_again(
    watch: Watch, told: Told
) -> None:
    def broken(_: object) -> Look:
        raise ZeroDivisionError

    told.does = broken
    watch.look(probe("told", {}), 2)
    assert watch.alerts == [("probe/under-test/answers/under-test", True)]
    told.does = lambda _: Look(())
    watch.look(probe("told", {}), 2)
    assert watch.alerts == [("probe/under-test/answers/under-test", False)]


def test_the_history_is_a_day_long_and_says_what_came_first(watch: Watch, told: Told) -> None:
    wanted = probe("told", {})
    told.does = lambda _: read(a=False)
    watch.look(wanted, 3)
    with watch.site.database.transaction() as session:
        long_ago = database.now(session) - history.KEPT - timedelta(minutes=1)
        session.execute(update(ProbeLook).values(at=long_ago))
    told.does = lambda _: read(a=True)
    watch.look(wanted)
    assert rows(watch, ProbeLook) == 1
    with watch.site.database.transaction() as session:
        (points,) = history.lines(session, "under-test", "").values()
        found = history.oldest(session, "under-test", "", "a", "heat")
    assert [(one.value, one.is_ill) for one in points] == [(20.0, True)]
    assert found is not None
    assert found[1] == 20.0


def test_a_probe_that_was_taken_away_goes_with_its_troubles_and_alerts(
    watch: Watch, told: Told
) -> None:
    told.does = lambda _: read(a=True)
    watch.look(probe("told", {}), 2)
    recording.retire(watch.site.database)
    assert watch.alerts == [("probe/under-test/heat/a", True)]
    with watch.site.database.transaction() as session:
        then = database.now(session) - recording.GONE_AFTER - timedelta(minutes=1)
        session.execute(update(ProbeState).values(next_at=then))
    recording.retire(watch.site.database)
    assert watch.alerts == [("probe/under-test/heat/a", False)]
    assert [rows(watch, table) for table in (ProbeState, ProbeTrouble)] == [0, 0]


def test_the_worst_comes_first_and_a_suspicion_is_not_called_ill(watch: Watch, told: Told) -> None:
    probes = {
        name: probe("told", {}, name=name, severity={"heat": severity})
        for name, severity in (("mild", "P3"), ("bad", "P0"), ("hint", "P0"), ("well", "P0"))
    }
    told.does = lambda _: read(a=True)
    watch.look(probes["mild"], 2)
    watch.look(probes["bad"], 2)
    watch.look(probes["hint"], 1)
    told.does = lambda _: read(a=False)
    watch.look(probes["well"], 1)
    probes["new"] = probe("told", {}, name="new")
    with watch.site.database.transaction() as session:
        found = glance(session, probes)
        whole = details(session, probes, "bad")
    assert [(one["probe"], one["state"]) for one in found] == [
        ("bad", "ill"),
        ("mild", "ill"),
        ("hint", "suspect"),
        ("well", "well"),
        ("new", "new"),
    ]
    (plot,) = whole["plots"]
    assert [point["value"] for point in plot["points"]] == [20.0, 20.0]


def test_a_long_cause_is_cut_and_stays_one_of_its_own() -> None:
    long = [named("p", Cause("heat", letter * 300)) for letter in "ab"]
    assert all(len(each) <= 128 for each in long)
    assert long[0] != long[1]
