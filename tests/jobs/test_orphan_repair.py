"""Orphans: which go, which are only reported, and what makes a run stop."""

from datetime import timedelta

from bson import ObjectId

from tests.jobs.damage import DUE, Damage
from tests.worker.scenario import NOW, old
from worker.registry import jobs

JOB = jobs()["orphan_repair"]
YOUNG = NOW - timedelta(minutes=59)
USER = ObjectId()


def _orphans(dated_by: str) -> Damage:
    """Half of the sound records have their parent, and half are too young to be judged."""
    due = [{"userId": ObjectId(), dated_by: old(1)} for _ in range(DUE)]
    sound = [{"userId": USER, dated_by: old(1)} for _ in range(DUE // 2)]
    sound += [{"userId": ObjectId(), dated_by: YOUNG} for _ in range(DUE // 2)]
    return Damage(due, sound, {"users": [{"_id": USER}]})


DAMAGE: dict[str, Damage] = {
    "orphaned-sales": _orphans("createdAt"),
    "orphaned-forecasts": _orphans("createdAt"),
    "orphaned-sessions": _orphans("lastActivity"),
}
