"""Probes over HTTP."""

from tests.worker.console.api.conftest import Api
from worker.tables import ProbeLook, ProbeState


def test_probes_are_listed_and_shown_as_on_the_command_line(api: Api) -> None:
    listed = api.get("/probes")
    assert listed == api.tend.json("probes")
    assert {one["state"] for one in listed["probes"]} == {"new"}
    assert api.get("/probes/mongodb") == api.tend.json("probes", "show", "mongodb")


def test_a_look_by_hand_reads_now_and_counts_for_nothing(api: Api) -> None:
    answer = api("POST", "/probes/hosts/run")
    assert answer.status == 200
    readings = {one["check"]: one for one in answer.json["readings"]}
    assert 0 < readings["memory"]["value"] <= 100
    off = api("POST", "/probes/applications/run").json
    assert "nothing is named yet" in off["off"]
    with api.database.transaction() as session:
        assert session.query(ProbeLook).count() == session.query(ProbeState).count() == 0


def test_a_look_takes_an_operator_and_a_probe_that_there_is(api: Api) -> None:
    assert api("POST", "/probes/mongodb/run", as_="viewer").status == 403
    for method, path in (("GET", "/probes/mongo"), ("POST", "/probes/mongo/run")):
        answer = api(method, path)
        assert (answer.status, answer.json["error"]["code"]) == (404, "probe_unknown")
