"""`tend probes` as a person and as a program read it."""

import json
from collections.abc import Iterator

import pytest

from tests.jobs.probe.servers import Endpoint, endpoint
from tests.worker.cli.conftest import Tend
from worker.cli.probes import sparkline
from worker.database import Database
from worker.keys import Keyring
from worker.probes import claiming, looking, recording
from worker.probes.context import Site
from worker.registry import probes_in
from worker.settings import Settings


@pytest.fixture
def server(tend: Tend) -> Iterator[Endpoint]:
    """An endpoint that the shipped probe `applications` looks at."""
    with endpoint() as found:
        named = f'{{name: api, url: "{found.url}", body: health}}'
        options = f"{{answer_within: 30s, response_ms: 60000, endpoints: [{named}]}}"
        folder = tend.overlay / "probes"
        folder.mkdir()
        text = f"name: applications\nraise_after: 2\noptions: {options}\n"
        (folder / "applications.yaml").write_text(text)
        yield found


def look(sqlite_url: str, times: int) -> None:
    """What a worker does with the probe `applications`."""
    settings = Settings.load()
    wanted = probes_in(settings.policy_directories)["applications"]
    database = Database(sqlite_url)
    site = Site(database, {}, None)
    for _ in range(times):
        claiming.claim(database, wanted, "")
        looked = looking.look(site, wanted)
        recording.record(database, Keyring.from_settings(settings), wanted, "", looked, 12)
    database.close()


def test_a_probe_that_nobody_looked_at_is_new_and_one_without_endpoints_says_so(
    tend: Tend,
) -> None:
    found = {one["probe"]: one for one in tend.json("probes")["probes"]}
    assert {one["state"] for one in found.values()} == {"new"}
    assert "mongodb" in found
    assert "nothing is named yet" in tend.json("probes", "run", "applications")["off"]


def test_what_is_ill_comes_first_with_what_it_means_and_what_to_do(
    tend: Tend, server: Endpoint, sqlite_url: str
) -> None:
    server.status = 503
    look(sqlite_url, 3)
    first = tend.json("probes")["probes"][0]
    assert (first["probe"], first["state"], first["severity"]) == ("applications", "ill", "P1")
    assert "applications  http" in " ".join(tend("probes").out.split("\n")[2:3])
    shown = tend("probes", "show", "applications").out
    assert "api, status: status 503" in shown
    assert "Ask it by hand with curl -i" in shown
    (alert,) = tend.json("alerts")["alerts"]
    assert (alert["event"], alert["next"]) == ("probe", "tend probes show applications")


def test_show_plots_the_last_looks(tend: Tend, server: Endpoint, sqlite_url: str) -> None:
    assert server.status == 200
    look(sqlite_url, 5)
    plots = {one["check"]: one for one in tend.json("probes", "show", "applications")["plots"]}
    assert len(plots["response_time"]["points"]) == 5
    assert "·····" in tend("probes", "show", "applications").out


def test_a_look_by_hand_counts_for_nothing(tend: Tend, server: Endpoint) -> None:
    server.body = json.dumps({"status": "degraded"}).encode()
    for _ in range(3):
        readings = tend.json("probes", "run", "applications")["readings"]
    assert [one["check"] for one in readings if one["ill"]] == ["body"]
    assert "api" in tend("probes", "run", "applications").out
    assert tend.json("alerts")["alerts"] == []


def test_a_name_that_is_none_is_refused(tend: Tend) -> None:
    for words in (("show", "nothing"), ("run", "nothing")):
        ended = tend("probes", *words, "--json")
        assert ended.code == 2
        assert ended.json["error"]["code"] == "probe_unknown"


def test_a_sparkline_has_a_bar_for_each_look() -> None:
    values = [0.0, None, 50.0, 100.0]
    assert sparkline([{"value": value, "ill": False} for value in values]) == "▁ ▅█"
    assert sparkline([{"value": 5.0, "ill": False}] * 3) == "▁▁▁"
    assert sparkline([{"value": None, "ill": ill} for ill in (False, True)]) == "·x"
