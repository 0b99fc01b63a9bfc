"""The engine tests' scenario, and a shop with old sales in it."""

import pytest

from tests.worker.scenario import Scenario, old

RECORDS = 60


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(RECORDS)]
    )
    return scenario
