"""What a process says of itself, and how its targets answer, with each sign of life."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import select

from tests.worker.scenario import Scenario
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.measuring import Measures
from worker.tables import Process
from worker.targets.mongo import MongoTarget

pytestmark = pytest.mark.sqlite_control

NOWHERE = "mongodb://127.0.0.1:9/shop?serverSelectionTimeoutMS=200&directConnection=true"


@pytest.fixture
def nobody() -> Iterator[MongoTarget]:
    with closing(MongoTarget(NOWHERE)) as target:
        yield target


def test_memory_and_processor_are_those_of_a_process(control: Database) -> None:
    measures = Measures()
    sum(number * number for number in range(300_000))
    Heartbeat(control, "scheduler", measures).beat()
    with control.transaction() as session:
        said = session.scalars(select(Process.measured)).one()
    assert 10 * 2**20 < said["memory_bytes"] < 2**34
    assert 0 <= said["cpu"] <= 64
    assert said["targets"] == {}


def test_a_target_that_answers_says_how_fast(scenario: Scenario) -> None:
    measures = Measures(scenario.engine.targets)
    assert measures.now()["targets"] == {"mongo": {"seconds": None, "failing_since": None}}
    measures.ask()
    answers = measures.now()["targets"]["mongo"]
    assert answers["seconds"] > 0
    assert answers["failing_since"] is None


def test_one_that_does_not_says_since_when_and_keeps_no_other_from_answering(
    scenario: Scenario, nobody: MongoTarget
) -> None:
    measures = Measures({"ill": nobody, **scenario.engine.targets})
    measures.ask()
    first = measures.now()["targets"]
    measures.ask()
    again = measures.now()["targets"]
    assert first["ill"]["failing_since"] is not None
    assert again["ill"] == first["ill"]
    assert again["mongo"]["seconds"] > 0
