"""Runs whose records have manifests, and what those say of a subject."""

import json
from collections import Counter
from typing import Any

from bson import ObjectId
from sqlalchemy import select

from tests.worker.scenario import Scenario, old
from worker.evidence import manifests
from worker.evidence.subject_keys import Subject, SubjectKeys
from worker.tables import Manifest

ADA, BOB = ObjectId("66f0c1d2e3a4b5c6d7e8f901"), ObjectId("66f0c1d2e3a4b5c6d7e8f902")


def sales(scenario: Scenario, *, ada: int, bob: int, days: float = 3000) -> None:
    """Old sales of two users in one store."""
    owners = [ADA] * ada + [BOB] * bob
    scenario.shop.salesData.insert_many(
        [{"userId": owner, "storeId": "s-1", "createdAt": old(days)} for owner in owners]
    )


def keys(scenario: Scenario) -> SubjectKeys:
    return SubjectKeys.of(scenario.engine.database, scenario.engine.keyring)


def written(scenario: Scenario, run_id: int) -> list[Manifest]:
    with scenario.engine.database.transaction() as session:
        found = select(Manifest).where(Manifest.run_id == run_id)
        return list(session.scalars(found.order_by(Manifest.direction, Manifest.number)))


def told(scenario: Scenario, run_id: int, subject: Subject) -> Counter[tuple[str, str]]:
    """What a run's manifests say became of a subject's records."""
    with scenario.engine.database.transaction() as session:
        _, key = keys(scenario).find(session, subject)
    return Counter(
        (place, became)
        for manifest in written(scenario, run_id)
        for place, became, _ in manifests.lines_of(manifest, key)
    )


def details(scenario: Scenario, run_id: int, action: str) -> list[dict[str, Any]]:
    return [
        json.loads(entry.body)["detail"]
        for entry in scenario.entries(run_id)
        if entry.action == action
    ]
