"""What must hold after any fault, read by other means than the engine's own."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from bson import json_util

from tests.worker.scenario import Scenario
from worker import objects
from worker.audit.entries import leaf_hash
from worker.tables import OUTCOMES

Done = tuple[int, int, int]
"""Where a batch began and ended, and how many records it changed."""
FenceOf = Callable[[str], tuple[int, list[Done]]]
"""A fence's cursor and batches, by its name."""


def assert_nothing_lost_or_done_twice(
    scenario: Scenario, run_id: int, removed: set[Any], fence_in: FenceOf | None = None
) -> None:
    """`removed`: the keys that a plain reader finds missing, by comparing before and after."""
    run = scenario.run(run_id)
    chunks = scenario.chunks(run_id)
    assert [chunk.state for chunk in chunks] == ["done"] * len(chunks)
    assert run.planned == sum(getattr(chunk, name) for chunk in chunks for name in OUTCOMES)
    assert sum(chunk.changed for chunk in chunks) == len(removed)
    assert archived(scenario, run_id) == Counter((None, key) for key in removed)
    _fences_agree(scenario, run_id, fence_in or partial(_in_mongo, scenario))
    _entries_pair(scenario, run_id)


def archived(scenario: Scenario, run_id: int) -> Counter[tuple[str | None, Any]]:
    """Every record with a before-image in an object that an undo would read, and how often.

    By collection and key; None is the policy's own.
    """
    wrapped = scenario.run(run_id).key
    assert wrapped is not None
    key = scenario.engine.keyring.unwrap(wrapped)
    found: Counter[tuple[str | None, Any]] = Counter()
    for chunk in scenario.chunks(run_id):
        for ref in objects.changed(chunk):
            records = scenario.engine.archive.read(key, ref)
            found.update((one.collection, one.key) for one in records if one.outcome == "changed")
    return found


def _in_mongo(scenario: Scenario, name: str) -> tuple[int, list[Done]]:
    fence = scenario.shop.tend_fences.find_one({"_id": name})
    assert fence is not None
    done = [(each["start"], each["end"], each["outcomes"][0]) for each in fence["batches"]]
    return fence["cursor"], done


def _fences_agree(scenario: Scenario, run_id: int, fence_in: FenceOf) -> None:
    token = scenario.run(run_id).token
    for chunk in scenario.chunks(run_id):
        cursor, done = fence_in(f"{token}/apply/{chunk.number}")
        assert done[0][0] == 0
        assert done[-1][1] == chunk.items == cursor
        assert all(left[1] == right[0] for left, right in pairwise(done))
        assert sum(changed for _, _, changed in done) == chunk.changed


def _entries_pair(scenario: Scenario, run_id: int) -> None:
    intents: Counter[tuple[str, int, int]] = Counter()
    outcomes: Counter[tuple[str, int, int]] = Counter()
    for entry in scenario.entries(run_id):
        assert entry.leaf_hash == leaf_hash(entry.body)
        detail = json_util.loads(entry.body.decode())["detail"]
        if entry.action == "chunk_intent":
            intents[detail["direction"], detail["chunk"], detail["attempt"]] += 1
        if entry.action == "chunk_outcome":
            outcomes[detail["direction"], detail["chunk"], detail["attempt"]] += 1
    assert intents == outcomes
    assert set(intents.values()) == {1}
