"""The breaker: against a plain oracle, from many processes, and without Redis."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.pos_sync import breaker as module
from jobs.pos_sync import signals
from jobs.pos_sync.breaker import ENOUGH, LONGEST_OPEN, SAMPLES, Breaker, Permission, Verdict
from jobs.pos_sync.failures import Kind, SyncFailed
from tests.examples import examples
from tests.jobs.pos_sync.workers import context, probe

KEY = "tend:pos:breaker:shop"


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as found:
        yield found


@pytest.fixture
def breaker(client: "redis.Redis") -> Breaker:
    return Breaker(client)


def trip(breaker: Breaker) -> Permission:
    """As many failures as it takes; what the last one led to."""
    generation = breaker.acquire("shop").generation
    return [breaker.record("shop", generation, good=False) for _ in range(ENOUGH)][-1]


def let_time_pass(client: "redis.Redis", *names: str) -> None:
    """What a wait does: the moments that were set lie behind."""
    client.hset(KEY, mapping=dict.fromkeys(names, 0))


def test_four_failures_are_too_few_and_five_are_enough(breaker: Breaker) -> None:
    generation = breaker.acquire("shop").generation
    for _ in range(ENOUGH - 1):
        assert breaker.record("shop", generation, good=False).verdict == Verdict.GO
    assert breaker.record("shop", generation, good=False).verdict == Verdict.OPEN
    assert breaker.acquire("shop").verdict == Verdict.OPEN
    assert breaker.acquire("another").verdict == Verdict.GO


def test_it_opens_for_twice_as_long_each_time_up_to_an_hour(
    breaker: Breaker, client: "redis.Redis"
) -> None:
    waits = [trip(breaker).wait]
    for _ in range(8):
        let_time_pass(client, "until")
        probe = breaker.acquire("shop")
        assert probe.verdict == Verdict.PROBE
        waits.append(breaker.record("shop", probe.generation, good=False).wait)
    assert waits == [min(60_000 * 2**n, LONGEST_OPEN) for n in range(9)]


def test_one_probe_at_a_time_and_a_dead_prober_is_replaced(
    breaker: Breaker, client: "redis.Redis"
) -> None:
    trip(breaker)
    let_time_pass(client, "until")
    dead = breaker.acquire("shop")
    assert dead.verdict == Verdict.PROBE
    assert breaker.acquire("shop").verdict == Verdict.PROBING
    let_time_pass(client, "lease")
    living = breaker.acquire("shop")
    assert living.verdict == Verdict.PROBE
    assert breaker.record("shop", dead.generation, good=True).verdict == Verdict.LATE
    assert breaker.acquire("shop").verdict == Verdict.PROBING
    assert breaker.record("shop", living.generation, good=True).verdict == Verdict.GO


def test_looking_takes_no_probe(breaker: Breaker, client: "redis.Redis") -> None:
    trip(breaker)
    let_time_pass(client, "until")
    assert breaker.look("shop").verdict == Verdict.PROBE
    assert breaker.acquire("shop").verdict == Verdict.PROBE


def test_a_store_that_fails_again_right_after_its_probe_waits_longer(
    breaker: Breaker, client: "redis.Redis"
) -> None:
    trip(breaker)
    let_time_pass(client, "until")
    breaker.record("shop", breaker.acquire("shop").generation, good=True)
    assert trip(breaker).wait == 120_000


@pytest.mark.system
@pytest.mark.timeout(600)
def test_of_sixteen_processes_one_probes(
    breaker: Breaker, client: "redis.Redis", redis_url: str
) -> None:
    trip(breaker)
    let_time_pass(client, "until")
    processes = context()
    ready, found = processes.Barrier(16), processes.Queue()
    workers = [processes.Process(target=probe, args=(redis_url, ready, found)) for _ in range(16)]
    for worker in workers:
        worker.start()
    verdicts = Counter(found.get(timeout=400) for _ in workers)
    for worker in workers:
        worker.join(60)
    assert verdicts == {"probe": 1, "probing": 15}


def test_without_redis_there_is_no_permission() -> None:
    with redis.Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        breaker = Breaker(nobody)
        for ask in (breaker.acquire, breaker.look):
            with pytest.raises(SyncFailed) as caught:
                ask("shop")
            assert caught.value.kind == Kind.LIMIT_UNKNOWN


@dataclass
class Oracle:
    """The rules of the breaker in plain Python, with a clock of its own that says what is due."""

    is_open: bool = False
    is_due: bool = False
    is_leased: bool = False
    generation: int = 0
    openings: int = 0
    recent: list[bool] = field(default_factory=list)

    def acquire(self) -> str:
        if not self.is_open:
            return "go"
        if not self.is_due:
            return "open"
        if self.is_leased:
            return "probing"
        self.is_leased = True
        self.generation += 1
        return "probe"

    def record(self, generation: int, good: bool) -> tuple[str, int]:
        if generation != self.generation:
            return "late", 0
        if self.is_open:
            return self._shut() if good else self._open()
        self.recent = [*self.recent, good][-SAMPLES:]
        if len(self.recent) >= ENOUGH and self.recent.count(False) * 2 >= len(self.recent):
            return self._open()
        if len(self.recent) >= ENOUGH and all(self.recent):
            self.openings = 0
        return "go", 0

    def _open(self) -> tuple[str, int]:
        wait = min(module.FIRST_OPEN * 2**self.openings, LONGEST_OPEN)
        self.is_open, self.is_due, self.is_leased, self.recent = True, False, False, []
        self.openings += 1
        self.generation += 1
        return "open", wait

    def _shut(self) -> tuple[str, int]:
        self.is_open, self.is_leased, self.recent = False, False, []
        self.generation += 1
        return "go", 0


STEPS = st.lists(
    st.one_of(
        st.just(("acquire", 0)),
        st.tuples(st.sampled_from(["good", "bad", "bad"]), st.integers(0, 1)),
        st.tuples(st.sampled_from(["due", "lease"]), st.just(0)),
    ),
    max_size=80,
)


@given(STEPS)
@settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_it_does_what_a_plain_oracle_says(
    breaker: Breaker, client: "redis.Redis", steps: list[tuple[str, int]]
) -> None:
    client.delete(KEY)
    oracle = Oracle()
    for step, late in steps:
        if step == "acquire":
            assert breaker.acquire("shop").verdict == oracle.acquire()
        elif step in ("good", "bad"):
            generation = oracle.generation - late
            found = breaker.record("shop", generation, good=step == "good")
            assert (found.verdict, found.wait) == oracle.record(generation, step == "good")
        elif oracle.is_open:
            let_time_pass(client, "until" if step == "due" else "lease")
            oracle.is_due = oracle.is_due or step == "due"
            oracle.is_leased = oracle.is_leased and step == "due"


def test_prometheus_is_told_how_many_breakers_are_in_which_state(
    breaker: Breaker, client: "redis.Redis", redis_url: str
) -> None:
    def told() -> dict[str, float]:
        with redis.Redis.from_url(redis_url) as asking:
            return {found.labels["state"]: found.value for found in signals.ask(asking)}

    assert told() == {"closed": 0, "half_open": 0, "open": 0}
    trip(breaker)
    other = breaker.acquire("another")
    breaker.record("another", other.generation, good=True)
    assert told() == {"closed": 1, "half_open": 0, "open": 1}
    let_time_pass(client, "until")
    assert told() == {"closed": 1, "half_open": 1, "open": 0}
    breaker.acquire("shop")
    assert told() == {"closed": 1, "half_open": 1, "open": 0}


def test_without_redis_nothing_is_said_of_breakers() -> None:
    with redis.Redis.from_url("redis://127.0.0.1:9/0") as nowhere:
        assert list(signals.ask(nowhere)) == []
