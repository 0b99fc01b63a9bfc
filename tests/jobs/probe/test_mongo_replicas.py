"""A replica set of three, one of which falls behind on purpose."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from demo.servers import Mongo, mongod
from policies.probes import Probe
from tests.faults.processes import eventually
from tests.faults.replicas import electable
from tests.worker.probes.watch import Watch, probe
from worker.targets.mongo import MongoTarget

pytestmark = pytest.mark.system

Client = MongoClient[dict[str, Any]]
# What a busy test machine may exceed is not what this test is about.
WIDE = {"connections_percent": 100, "tickets_percent": 100, "cache_percent": 100}


def asking(lag: str) -> Probe:
    options = {**WIDE, "operation_ms": 3_600_000, "lag": lag}
    return probe("mongo", options, every="5m", within="2m")


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Mongo]:
    with mongod(tmp_path) as first, electable(first, tmp_path):
        with Client(first.url()) as client:
            # Else the third may follow the one that is behind, and be behind as well.
            config = client.admin.command("replSetGetConfig")["config"]
            config["settings"]["chainingAllowed"] = False
            client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
        yield first
        first.process.kill()  # asked politely, it waits for others to follow


def test_a_secondary_that_falls_behind_is_told_once_and_cleared_once(
    watch: Watch, trio: Mongo
) -> None:
    with (
        closing(MongoTarget(trio.url("shop"))) as target,
        Client(trio.url("shop")) as client,
    ):
        shop = replace(watch, site=replace(watch.site, targets={"mongo": target}))
        host, port = min(eventually(lambda: client.secondaries, seconds=60))
        name = f"{host}:{port}"
        cause = f"probe/under-test/replication_lag/{name}"
        eventually(lambda: shop.checks_that_are_ill(asking("5s")) == set(), seconds=60)
        with Client(name, directConnection=True) as behind:
            behind.admin.command("fsync", lock=True)
            try:

                def is_behind() -> bool:
                    client.shop.sales.insert_one({})
                    return shop.checks_that_are_ill(asking("15s")) == {"replication_lag"}

                eventually(is_behind, seconds=150)
                shop.look(asking("15s"), 3)
                assert shop.alerts == [(cause, True)]
            finally:
                behind.admin.command("fsyncUnlock")
        eventually(lambda: not shop.checks_that_are_ill(asking("60s")), seconds=90)
        shop.look(asking("60s"), 3)
    assert shop.alerts == [(cause, False)]
