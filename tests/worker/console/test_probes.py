"""The pages of probes: the worst first, each with its alert, what to do, and its plots."""

import re
from datetime import UTC, datetime

import pytest

from jobs.probing import Look, Reading
from tests.worker.console.people import Browser, text_of
from tests.worker.console.test_pages import Enter, enter, installation
from worker.console.installation import Installation
from worker.console.pages import plots
from worker.documents import probes as documents
from worker.keys import Keyring
from worker.probes import claiming, recording
from worker.probes.looking import Looked

__all__ = ["enter", "installation"]
pytestmark = pytest.mark.sqlite_control


def looked(here: Installation, name: str, *readings: Reading, times: int = 3) -> None:
    """So many looks at a shipped probe, each of which read the same."""
    wanted = documents.named(here.settings, name)
    keyring = Keyring.from_settings(here.settings)
    for _ in range(times):
        claiming.claim(here.database, wanted, "")
        found = Looked(Look(readings))
        recording.record(here.database, keyring, wanted, "", found, 12)


def connections(percent: float, *, ill: bool) -> Reading:
    return Reading("mongodb", "connections", ill, f"{percent:.0f} % in use", percent)


def rows(browser: Browser) -> list[str]:
    return re.findall(r'href="/probes/([a-z-]+)"', browser.get("/probes").body.decode())


def test_the_worst_comes_first_and_is_led_to_by_the_navigation(
    enter: Enter, installation: Installation
) -> None:
    looked(installation, "redis", Reading("redis", "memory", False, "3 %", 3.0))
    looked(installation, "mongodb", connections(91, ill=True))
    browser = enter("viewer")
    assert 'href="/probes"' in browser.get("/").body.decode()
    names = rows(browser)
    assert names[0] == "mongodb"
    assert names.index("redis") > 0
    assert len(names) == len(
        documents.listed(installation.settings, installation.database)["probes"]
    )
    assert "mongodb mongo ill P1" in text_of(browser.get("/probes"))
    assert "mongodb: 91 % in use" in text_of(browser.get("/probes-now"))


def test_a_probe_says_which_alert_stands_what_it_means_and_what_to_do(
    enter: Enter, installation: Installation
) -> None:
    looked(installation, "mongodb", connections(91, ill=True))
    check = documents.named(installation.settings, "mongodb").check("connections")
    browser = enter("viewer")
    answer = browser.get("/probes/mongodb")
    page = text_of(answer)
    assert "P1 mongodb, connections: 91 % in use" in page
    assert b'href="/alerts/a-1"' in answer.body
    assert "mongodb, connections" in text_of(browser.get("/alerts/a-1"))
    for said in ("alert a-1", check.means, check.todo):
        assert said in page


def test_what_is_ill_once_is_suspect_and_has_no_alert(
    enter: Enter, installation: Installation
) -> None:
    looked(installation, "mongodb", connections(91, ill=True), times=1)
    page = text_of(enter("viewer").get("/probes/mongodb/now"))
    assert "suspect" in page
    assert "alert not raised yet" in page


def test_each_reading_is_plotted_with_its_figures_as_a_table(
    enter: Enter, installation: Installation
) -> None:
    looked(installation, "mongodb", connections(40, ill=False), times=2)
    looked(installation, "mongodb", connections(91, ill=True), times=1)
    html = enter("viewer").get("/probes/mongodb").body.decode()
    (line,) = re.findall(r'<polyline class="line" points="([^"]+)"', html)
    heights = [float(point.split(",")[1]) for point in line.split()]
    assert len(heights) == 3
    assert heights[0] == heights[1] > heights[2]
    assert html.count('<rect class="s5"') == 1
    cells = re.findall(r'<td class="num">(\d+)</td><td class="num">(\w+)</td>', html)
    assert cells == [("40", "well"), ("40", "well"), ("91", "ill")]


def test_a_reading_without_a_value_is_a_bar_for_each_look(
    enter: Enter, installation: Installation
) -> None:
    looked(installation, "mongodb", Reading("one", "member", False), times=2)
    looked(installation, "mongodb", Reading("one", "member", True, "down"), times=1)
    html = enter("viewer").get("/probes/mongodb").body.decode()
    assert (html.count('<rect class="s2"'), html.count('<rect class="s5"')) == (2, 1)
    assert "<polyline" not in html


def test_of_thousands_of_readings_the_ill_ones_are_shown_and_the_others_counted(
    enter: Enter, installation: Installation
) -> None:
    many = [Reading(f"m{n:04}", "member", n == 1999) for n in range(2000)]
    looked(installation, "mongodb", *many, times=1)
    html = enter("viewer").get("/probes/mongodb").body.decode()
    assert html.index('aria-label="m1999, member"') < html.index('aria-label="m0000, member"')
    assert html.count("<figure>") == 40
    assert "and 1960 more plots" in html


def test_what_a_target_says_of_itself_is_no_markup(
    enter: Enter, installation: Installation
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    looked(installation, "mongodb", Reading(evil, "member", True, evil))
    browser = enter("viewer")
    for path in ("/probes", "/probes/mongodb", "/probes/mongodb/now"):
        answer = browser.get(path)
        assert b"<img" not in answer.body, path
        assert evil in text_of(answer), path


def test_a_probe_that_nobody_looked_at_yet_says_so(enter: Enter) -> None:
    page = text_of(enter("viewer").get("/probes/mongodb"))
    assert "Nobody has looked yet." in page


@pytest.mark.parametrize("path", ["/probes/nonsense", "/probes/nonsense/now", "/probes/%3Cb%3E"])
def test_a_probe_that_there_is_not_is_said_so(enter: Enter, path: str) -> None:
    answer = enter("viewer").get(path)
    assert answer.status == 404
    assert "There is no probe" in text_of(answer)


@pytest.mark.parametrize("path", ["/probes", "/probes-now", "/probes/mongodb"])
def test_who_is_not_logged_in_sees_no_probe(enter: Enter, path: str) -> None:
    answer = Browser(enter("viewer").port).get(path)
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/login")


@pytest.mark.parametrize("value", [0.0, 0.003, 0.7, 3.9, 4.0, 91.0, 12_345.6, 9e9])
def test_a_plot_is_as_high_as_its_highest_value_needs(value: float) -> None:
    one = plots.Reading(datetime(2026, 1, 1, tzinfo=UTC), value, is_ill=False)
    found = plots.readings("x", [one], "s")
    y = float(found.line.split(",")[1])
    marks = [mark.y for mark in found.marks]
    assert min(marks) <= y <= max(marks)
    if value:
        assert (max(marks) - y) / (max(marks) - min(marks)) > 0.1
