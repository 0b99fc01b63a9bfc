"""HTTP endpoints made ill on purpose: each raises exactly one alert, and clears it once."""

import json
from pathlib import Path
from typing import Any

import pytest

from policies.probes import Probe
from tests.jobs.probe.servers import HEALTHY, Endpoint, certificate, endpoint
from tests.worker.probes.watch import Watch, probe

ERROR = {"status": "error", "error": {"code": "x", "message": "y", "details": {}}}


def asking(server: Endpoint, **keys: Any) -> Probe:
    """A probe of one endpoint; what it does not say is as in a shipped one."""
    options = {"response_ms": 30_000, "answer_within": "30s", **keys.pop("options", {})}
    named = {"name": "api", "url": server.url, **keys}
    return probe("http", {"endpoints": [named], **options}, every="10m", within="5m")


def assert_raised_and_cleared_once(watch: Watch, cause: str) -> None:
    assert watch.alerts == [(f"probe/under-test/{cause}", False)]


def test_an_endpoint_that_is_slow_is_told_once_and_cleared_once(watch: Watch) -> None:
    with endpoint() as server:
        wanted = asking(server, options={"response_ms": 150})
        server.seconds = 0.2
        watch.look(wanted, 4)
        assert watch.alerts == [("probe/under-test/response_time/api", True)]
        server.seconds = 0.0
        watch.look(asking(server), 4)
    assert_raised_and_cleared_once(watch, "response_time/api")


def test_one_that_does_not_answer_in_time_is_not_said_to_be_slow_as_well(watch: Watch) -> None:
    with endpoint() as server:
        server.seconds = 600
        place = f"127.0.0.1:{server.port}"
        watch.look(asking(server, options={"answer_within": "1s", "response_ms": 1}), 2)
        server.seconds = 0
        watch.look(asking(server), 2)
    assert_raised_and_cleared_once(watch, f"answers/{place}")


def test_endpoints_of_one_host_that_is_gone_are_one_cause(watch: Watch) -> None:
    with endpoint() as server:
        pass
    named = [{"name": f"e{number}", "url": server.url} for number in range(7)]
    watch.look(probe("http", {"endpoints": named}, every="10m", within="5m"), 3)
    assert watch.alerts == [(f"probe/under-test/answers/127.0.0.1:{server.port}", True)]


def test_a_status_that_is_another_is_told_and_its_body_is_not_judged(watch: Watch) -> None:
    with endpoint() as server:
        server.status, server.body = 503, b"<html>down</html>"
        watch.look(asking(server, body="health"), 3)
        server.status, server.body = 200, json.dumps(HEALTHY).encode()
        watch.look(asking(server, body="health"), 3)
    assert_raised_and_cleared_once(watch, "status/api")


@pytest.mark.parametrize(
    ("shape", "keys", "body", "is_ill"),
    [
        ("health", [], HEALTHY, False),
        ("health", ["version"], HEALTHY, False),
        ("health", ["build.commit"], HEALTHY, True),
        ("health", [], {"status": "degraded"}, True),
        ("health", [], ["ok"], True),
        ("error", [], ERROR, False),
        ("error", [], {**ERROR, "error": {"code": "x"}}, True),
        ("error", [], {**ERROR, "status": "ok"}, True),
        ("json", [], "text", False),
        ("any", ["a.b"], {"a": {"b": None}}, False),
    ],
)
def test_a_body_is_held_against_the_shape_that_is_expected(
    watch: Watch, shape: str, keys: list[str], body: Any, is_ill: bool
) -> None:
    with endpoint() as server:
        server.body = json.dumps(body).encode()
        ill = watch.checks_that_are_ill(asking(server, body=shape, keys=keys))
    assert ill == ({"body"} if is_ill else set())


def test_a_body_that_is_no_json_or_without_end_is_told(watch: Watch) -> None:
    with endpoint() as server:
        server.body = b"<html>"
        assert watch.checks_that_are_ill(asking(server, body="json")) == {"body"}
        server.body = b"x" * 2_000_000
        assert watch.checks_that_are_ill(asking(server)) == {"body"}


def test_an_expired_certificate_is_told_once_and_cleared_by_a_new_one(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expired, new = certificate(tmp_path, -1), certificate(tmp_path, 60)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(expired.read_bytes() + new.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with endpoint(expired) as server:
        (seen, *_) = watch.look(asking(server), 3)
        port = server.port
    assert (seen.check, seen.says) == ("certificate", "the certificate has expired")
    assert watch.alerts == [(f"probe/under-test/certificate/127.0.0.1:{port}", True)]
    with endpoint(new) as server:
        readings = watch.look(asking(server), 3)
    days = {one.check: one.value for one in readings}["certificate"]
    assert days == pytest.approx(60, abs=0.1)
    assert_raised_and_cleared_once(watch, f"certificate/127.0.0.1:{port}")


def test_a_certificate_that_ends_soon_is_told(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = certificate(tmp_path, 3)
    monkeypatch.setenv("SSL_CERT_FILE", str(soon))
    with endpoint(soon) as server:
        assert watch.checks_that_are_ill(asking(server)) == {"certificate"}


def test_a_redirect_into_the_private_network_is_not_followed(watch: Watch) -> None:
    with endpoint() as server, endpoint() as inside:
        server.status, server.headers = 302, {"Location": inside.url}
        (seen, *_) = watch.look(asking(server))
        assert (seen.check, seen.ill) == ("status", True)
        assert "private network" in seen.says
        assert inside.asked == 0


def test_a_redirect_on_the_declared_host_is_followed_and_a_loop_is_ended(watch: Watch) -> None:
    with endpoint() as server:
        server.status, server.headers = 302, {"Location": "/health"}
        assert watch.checks_that_are_ill(asking(server)) == {"status"}
        assert server.asked == 6
        assert watch.checks_that_are_ill(asking(server, status=302)) == set()


def test_a_trouble_is_not_told_before_it_was_seen_often_enough(watch: Watch) -> None:
    with endpoint() as server:
        server.status = 500
        watch.look(asking(server))
        server.status = 200
        watch.look(asking(server))
        server.status = 500
        watch.look(asking(server))
        assert watch.alerts == []
        watch.look(asking(server))
        assert watch.alerts == [("probe/under-test/status/api", True)]
