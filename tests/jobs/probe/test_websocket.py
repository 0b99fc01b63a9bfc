"""Kiosks' channels made ill on purpose: each raises exactly one alert, and clears it once."""

from typing import Any

from websockets.asyncio.server import ServerConnection

from policies.probes import Probe
from tests.jobs.probe.servers import Channel, cable, channel, drop, echo, silent
from tests.worker.probes.watch import Watch, probe
from worker.probes.glance import glance

KIOSK = {"channel": "KioskChannel"}


def asking(server: Channel, names: tuple[str, ...] = ("k-1",), **options: Any) -> Probe:
    """Patient, where it does not say otherwise: a channel that is well may be slow here."""
    identifier = options.pop("identifier", {})
    endpoints = [
        {"name": name, "store": "7", "url": server.url, "identifier": identifier} for name in names
    ]
    patient = {"answer_within": "30s", "round_trip_ms": 30_000, **options}
    return probe("websocket", {"endpoints": endpoints, **patient}, every="10m", within="5m")


def test_a_channel_that_echoes_is_well_and_its_round_trip_is_measured(watch: Watch) -> None:
    with channel(echo) as server:
        readings = watch.look(asking(server, send="are you there?"))
    assert {one.check: one.ill for one in readings} == {
        "answers": False,
        "delivery": False,
        "round_trip": False,
    }
    assert next(one.value for one in readings if one.check == "round_trip") is not None


def test_one_that_accepts_and_never_speaks_is_told_once_and_cleared_once(watch: Watch) -> None:
    with channel(silent, subprotocol="actioncable-v1-json") as server:
        quick: dict[str, Any] = {"protocol": "actioncable", "answer_within": "1s"}
        (seen, *_) = watch.look(asking(server, **quick), 3)
        assert "says nothing" in seen.says
        assert watch.alerts == [("probe/under-test/answers/store 7", True)]
        server.speak = cable
        watch.look(asking(server, protocol="actioncable", identifier=KIOSK), 3)
    assert watch.alerts == [("probe/under-test/answers/store 7", False)]


def test_one_that_drops_is_told_once_with_its_code_and_cleared_once(watch: Watch) -> None:
    with channel(drop) as server:
        (seen, *_) = watch.look(asking(server, send="x"), 3)
        assert seen.says == "it dropped the connection, code 1011"
        server.speak = echo
        watch.look(asking(server, send="x"), 3)
    assert watch.alerts == [("probe/under-test/answers/store 7", False)]


def test_a_message_that_does_not_arrive_is_told_and_the_channel_is_said_to_be_open(
    watch: Watch,
) -> None:
    with channel(silent) as server:
        readings = watch.look(asking(server, send="x", answer_within="1s"), 2)
    assert {one.check: one.ill for one in readings} == {
        "answers": False,
        "delivery": True,
        "round_trip": None,
    }
    assert watch.alerts == [("probe/under-test/delivery/store 7", True)]


def test_actioncable_is_welcomed_subscribed_pinged_and_has_its_message_back(watch: Watch) -> None:
    with channel(cable, subprotocol="actioncable-v1-json") as server:
        spoken: dict[str, Any] = {"protocol": "actioncable", "identifier": KIOSK}
        assert watch.checks_that_are_ill(asking(server, **spoken)) == set()
        assert watch.checks_that_are_ill(asking(server, **spoken, send="echo")) == set()
        lost = asking(server, **spoken, send="swallow", answer_within="2s")
        assert watch.checks_that_are_ill(lost) == {"delivery"}


def test_a_rejected_subscription_and_a_refused_login_are_told(watch: Watch) -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.send('{"type": "disconnect", "reason": "unauthorized"}')

    with channel(cable, subprotocol="actioncable-v1-json") as server:
        rejected = asking(server, protocol="actioncable", identifier={"channel": "Another"})
        (seen, *_) = watch.look(rejected)
        assert seen.says == "it rejects the subscription"
        server.speak = refuse
        (seen, *_) = watch.look(asking(server, protocol="actioncable"))
        assert seen.says == "it disconnects: unauthorized"


def test_what_a_server_says_is_not_repeated(watch: Watch) -> None:
    async def chatter(connection: ServerConnection) -> None:
        await connection.send('{"type": "disconnect", "reason": "anna@example.com"}')

    with channel(chatter, subprotocol="actioncable-v1-json") as server:
        (seen, *_) = watch.look(asking(server, protocol="actioncable"))
    assert (seen.ill, "anna" in seen.says) == (True, False)


def test_the_kiosks_of_a_store_are_one_cause_and_each_says_since_when(watch: Watch) -> None:
    with channel(drop) as server:
        wanted = asking(server, names=("k-1", "k-2", "k-3"), send="x")
        watch.look(wanted, 3)
    assert watch.alerts == [("probe/under-test/answers/store 7", True)]
    with watch.site.database.transaction() as session:
        (seen,) = glance(session, {wanted.name: wanted})
    assert [each["subject"] for each in seen["troubles"]] == ["7/k-1", "7/k-2", "7/k-3"]
    assert all(each["since"] for each in seen["troubles"])
