"""Operations reach a real StatsD socket, and nobody waits if there is none."""

import socket
from collections.abc import Iterator

import pytest

from tests.worker.scenario import Scenario, old, purge
from worker import statsd
from worker.errors import SettingError
from worker.settings import Settings

pytestmark = pytest.mark.sqlite_control


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(30)
        statsd.start(Settings(statsd=f"127.0.0.1:{found.getsockname()[1]}"))
        yield found
        statsd.start(Settings())


def names(server: socket.socket, count: int) -> set[str]:
    return {server.recv(512).decode().partition(":")[0] for _ in range(count)}


def test_a_run_is_counted_and_timed_by_its_operations(
    scenario: Scenario, server: socket.socket
) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000)})
    assert scenario.run_through(purge()).state == "succeeded"
    heard: set[str] = set()
    while not heard >= EXPECTED:
        heard |= names(server, 1)
    assert heard == EXPECTED


EXPECTED = {
    f"operation.{name}.{what}"
    for name in ("plan", "apply", "verify")
    for what in ("duration", "count")
}


def test_one_that_fails_is_counted_all_the_same(server: socket.socket) -> None:
    with pytest.raises(ValueError, match="in the middle"), statsd.operation("apply"):
        raise ValueError("in the middle")
    assert names(server, 2) == {"operation.apply.duration", "operation.apply.count"}


def test_without_the_setting_nothing_is_sent(server: socket.socket) -> None:
    statsd.start(Settings())
    with statsd.operation("apply"):
        pass
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(512)


def test_a_host_that_has_no_address_is_no_reason_not_to_start() -> None:
    statsd.start(Settings(statsd="nobody.invalid:8125"))
    with statsd.operation("apply"):
        pass
    statsd.start(Settings())


@pytest.mark.parametrize("text", ["localhost", "localhost:", ":8125", "localhost:99999"])
def test_what_is_no_host_and_port_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEND_STATSD", text)
    with pytest.raises(SettingError, match="TEND_STATSD must be a host and a port"):
        Settings.load()
