"""The prober beside others: one look each time, and nobody waits for one that hangs."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from jobs.probing import Look, ProbeContext
from policies.probes import Probe
from tests.faults.processes import eventually
from tests.worker.probes.kinds import Told, read
from tests.worker.probes.watch import Watch, probe
from worker import database
from worker.probes import claiming
from worker.probes.prober import Prober
from worker.tables import ProbeLook, ProbeState


@pytest.fixture
def ended() -> Iterator[threading.Event]:
    """What a look that hangs waits for."""
    event = threading.Event()
    yield event
    event.set()
    eventually(nobody_looks)


def nobody_looks() -> bool:
    return not any(thread.name.startswith("probe ") for thread in threading.enumerate())


def due_again(watch: Watch) -> None:
    with watch.site.database.transaction() as session:
        past = database.now(session) - timedelta(seconds=1)
        session.execute(update(ProbeState).values(next_at=past, looking_until=None))


def looks(watch: Watch) -> int:
    with watch.site.database.transaction() as session:
        return session.scalar(select(func.count()).select_from(ProbeLook)) or 0


def prober(watch: Watch, *probes: Probe) -> Prober:
    return Prober(watch.site, watch.keyring, probes)


def test_of_many_workers_one_looks_each_time(watch: Watch, told: Told) -> None:
    told.does = lambda _: read(a=False)
    wanted = probe("told", {}, every="1h")
    workers = [prober(watch, wanted) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Prober.begin_due, workers))
    eventually(lambda: looks(watch) == 1)
    eventually(nobody_looks)
    for worker in workers:
        worker.begin_due()
    assert told.looks == ["under-test"]


def test_a_look_that_hangs_holds_up_neither_the_others_nor_whoever_asks(
    watch: Watch, told: Told, ended: threading.Event
) -> None:
    def hang(ctx: ProbeContext) -> Look:
        if ctx.probe == "hangs":  # type: ignore[attr-defined] # the engine's own context
            ended.wait(300)
        return read(a=False)

    told.does = hang
    worker = prober(
        watch,
        probe("told", {}, name="hangs", every="1h"),
        *(probe("told", {}, name=f"p{number}", every="1h") for number in range(5)),
    )
    worker.begin_due()
    eventually(lambda: looks(watch) == 5)
    assert not ended.is_set()


def test_a_look_that_never_ends_is_told_as_no_answer_and_not_begun_again(
    watch: Watch, told: Told, ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.probes.prober.HUNG_AFTER", 0.0)

    def hang(_: ProbeContext) -> Look:
        ended.wait(300)
        return read(a=False)

    told.does = hang
    wanted = probe("told", {}, every="2s", within="1s")
    worker = prober(watch, wanted)

    def is_told() -> bool:
        worker.begin_due()
        due_again(watch)
        return watch.alerts == [("probe/under-test/answers/under-test", True)]

    eventually(is_told, seconds=60)
    assert told.looks == ["under-test"]
    ended.set()

    def is_over() -> bool:
        worker.begin_due()
        due_again(watch)
        return watch.alerts == [("probe/under-test/answers/under-test", False)]

    eventually(is_over, seconds=60)


def test_a_worker_that_was_lost_while_it_looked_is_not_waited_for_longer_than_a_look(
    watch: Watch,
) -> None:
    wanted = probe("redis", {}, every="1h")
    assert claiming.claim(watch.site.database, wanted, "") == 0.0
    due = update(ProbeState)
    with watch.site.database.transaction() as session:
        past = database.now(session) - timedelta(seconds=1)
        session.execute(due.values(next_at=past))
    assert claiming.claim(watch.site.database, wanted, "") == 1.0
    with watch.site.database.transaction() as session:
        session.execute(due.values(looking_until=past))
    assert claiming.claim(watch.site.database, wanted, "") == 0.0


def test_a_probe_that_was_taken_away_while_it_was_looked_at_leaves_nothing(
    watch: Watch, told: Told
) -> None:
    started = threading.Event()
    go_on = threading.Event()

    def wait(_: ProbeContext) -> Look:
        started.set()
        go_on.wait(60)
        return read(a=True)

    told.does = wait
    worker = prober(watch, probe("told", {}, every="1h"))
    worker.begin_due()
    assert started.wait(60)
    with watch.site.database.transaction() as session:
        session.execute(update(ProbeState).values(name="another"))
    go_on.set()
    eventually(nobody_looks)
    assert looks(watch) == 0
    assert watch.alerts == []
