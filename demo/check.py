"""The independent check: the guides' plain diagnostic queries, which know nothing of Tend."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pymongo.database import Database

from demo import kiosk
from worker.archive import ArchiveStore
from worker.keys import Keyring
from worker.tables import OUTCOMES, Chunk, Run
from worker.targets.base import ArchiveRef

Document = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What a plain query finds after a run, beside the failures that the run listed."""

    found: int
    listed: int
    is_exact: bool


def diagnostic(shop: Database[Document], policy: str, cutoff: datetime) -> tuple[str, Document]:
    """The collection and query with which a person would look for this damage by hand."""
    queries: Mapping[str, tuple[str, Document]] = {
        "session-cleanup": (
            "sessions",
            {"$or": [{"expiresAt": {"$lt": cutoff}}, {"isActive": False}]},
        ),
        "oauth-state-cleanup": ("oauthstates", {"timestamp": {"$lt": cutoff}}),
        "sales-retention": ("salesData", {"createdAt": {"$lt": cutoff}}),
        "audit-log-retention": ("auditlogs", {"timestamp": {"$lt": cutoff}}),
        "negative-sales-values": (
            "salesData",
            {
                "type": {"$ne": "return"},
                "$or": [{name: {"$lt": 0}} for name in ("quantity", "revenue", "cost")],
            },
        ),
        "text-dates": ("salesData", {"date": {"$type": "string"}}),
        "deleted-accounts": ("users", {"deletedAt": {"$lt": cutoff}}),
        "orphaned-forecasts": (
            "forecasts",
            {"createdAt": {"$lt": cutoff}, "userId": {"$nin": shop["users"].distinct("_id")}},
        ),
    }
    return queries[policy]


def check(
    shop: Database[Document],
    kiosks: Path,
    run: Run,
    chunks: list[Chunk],
    archive: ArchiveStore,
    keyring: Keyring,
) -> Check:
    """Compare key by key: what the query finds must be the listed failures that still exist.

    A failure of one policy can since have been purged by another; such a key is not expected.
    """
    if run.as_of is None or run.key is None:
        return Check(0, 0, is_exact=False)
    counted = sum(getattr(chunk, name) for chunk in chunks for name in OUTCOMES)
    if run.policy in kiosk.QUERIES:
        left = kiosk.find(kiosks, run.policy)
        return Check(left, 0, is_exact=left == 0 and counted == run.planned)
    collection, query = diagnostic(shop, run.policy, run.cutoff or run.as_of)
    found = {record["_id"] for record in shop[collection].find(query, {"_id": 1})}
    key = keyring.unwrap(run.key)
    listed = {
        record.key
        for chunk in chunks
        for stored in chunk.archives
        for record in archive.read(
            key, ArchiveRef(stored["name"], stored["sha256"], stored["size"])
        )
        if record.outcome == "failed"
    }
    present = {
        record["_id"]
        for record in shop[collection].find({"_id": {"$in": list(listed)}}, {"_id": 1})
    }
    is_exact = found == present and counted == run.planned
    return Check(len(found), len(present), is_exact)
