"""A MongoDB target: connections, reading for plans, counts, and the fences of its chunks.

Plans may be read where the URL says, by a user that cannot write. Whatever decides about a
write reads the primary, and writes are `majority`, whatever the URL says.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import pymongo
from bson import MinKey
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, ReadPreference
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from jobs.base import Item, Newest, Relation
from policies.selectors import AllOf, AnyOf, Selector, field_of, leaves, parent_of
from policies.subjects import spared
from worker.errors import IndexMissing
from worker.targets import mongo_indicators, mongo_pages
from worker.targets.base import Archive, BatchRecord, Reading, RecordOutcome
from worker.targets.mongo_collections import check_collection, check_quarantine
from worker.targets.mongo_documents import MongoDocuments, MongoGuardedDocuments
from worker.targets.mongo_errors import translated
from worker.targets.mongo_fence import COLLECTION, MongoFence, close_fence, committed
from worker.targets.mongo_look import MongoLook
from worker.targets.mongo_orphans import PROBE, MongoOrphans, check_parent, parent_population
from worker.targets.mongo_parents import orphaned_among
from worker.targets.mongo_related import MongoRelated
from worker.targets.mongo_restore import MongoJudges
from worker.targets.mongo_select import Filter, compile_held, compile_selector
from worker.targets.mongo_status import MongoStatus
from worker.targets.page import RawPage
from worker.targets.quarantine import SUFFIX, Origin
from worker.targets.record_key import identity

Document = Mapping[str, Any]

SCAN_SECONDS = 300
COUNT_SECONDS = 60
POPULATION_SECONDS = 20
LOOK_SECONDS = 10
PING_SECONDS = 5
PAGE_SECONDS = 60
PAGE = 1_000
INDICATOR_SECONDS = 2
_DATES = DatetimeConversion.DATETIME_AUTO  # a date that Python cannot hold stays one of BSON's
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    RawBSONDocument, tz_aware=True, datetime_conversion=_DATES
)


class MongoTarget:
    """One MongoDB database; safe to share between threads, not between processes."""

    def __init__(self, url: str, read_url: str | None = None) -> None:
        options: dict[str, Any] = {"appname": "tend", "serverSelectionTimeoutMS": 5000}
        with translated("MongoDB"):
            self._client: MongoClient[Document] = MongoClient(url, **options)
            self._reading: MongoClient[Document] = (
                MongoClient(read_url, **options) if read_url else self._client
            )
            self._writes: Database[Document] = self._client.get_default_database().with_options(
                codec_options=CodecOptions(tz_aware=True, datetime_conversion=_DATES),
                read_preference=ReadPreference.PRIMARY,
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern("majority"),
            )
            self._reads: Database[Document] = self._reading.get_default_database().with_options(
                codec_options=CodecOptions(tz_aware=True, datetime_conversion=_DATES)
            )
        self.name = f"MongoDB database {self._writes.name}"

    def close(self) -> None:
        self._client.close()
        self._reading.close()

    def status(self) -> MongoStatus:
        """For probes: how the server is, asked where plans are read."""
        return MongoStatus(self._reading, self._reads.name, self.name)

    def documents(self) -> MongoDocuments:
        """For a task that looks: read where plans are read."""
        return MongoDocuments(self._reads)

    @contextmanager
    def transaction(
        self, seconds: float
    ) -> Iterator[tuple[Database[dict[str, Any]], ClientSession]]:
        """A transaction for a task: what is done with the session is committed at the end."""
        writes = cast(Database[dict[str, Any]], self._writes)
        with (
            translated(self.name),
            pymongo.timeout(seconds),
            self._client.start_session() as session,
            session.start_transaction(),
        ):
            yield writes, session

    def guarded_documents(self) -> MongoGuardedDocuments:
        """For a task that performs: the primary, and `majority` writes."""
        return MongoGuardedDocuments(self._writes)

    def reader(
        self,
        collection: str,
        as_of: datetime,
        *,
        scan: bool,
        held: Selector | None = None,
        primary: bool = False,
    ) -> "MongoReader":
        reads = self._reads.with_options(
            read_preference=ReadPreference.PRIMARY if primary else None
        )
        return MongoReader(self, reads, collection, as_of, scan, held)

    def look(self, collection: str) -> MongoLook:
        return MongoLook(self._reads, collection, self.where(collection))

    def where(self, collection: str) -> str:
        return f"{self.name}, collection {collection}"

    def check(self, collection: str, selector: Selector, as_of: datetime) -> None:
        self.check_exists(collection)
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            parent = parent_of(selector)
            if parent is not None:
                check_parent(self._reads, collection, parent)
            elif not self._scans(collection, compile_selector(selector, as_of)):
                return
            commands = " ".join(self.index_commands(collection, selector, as_of))
            if commands:
                raise IndexMissing(
                    f"{self.where(collection)} has no index for this selector; create it with "
                    f"{commands} or look with `tend plan --scan`."
                )

    def check_exists(self, collection: str) -> None:
        """Raise `CollectionMissing`, or `TargetError` if it cannot be worked on."""
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            check_collection(self._reads, collection, self.where(collection))

    def check_quarantine(self, collection: str) -> None:
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            check_quarantine(self._reads, collection, self.where(collection))

    def index_commands(self, collection: str, selector: Selector, as_of: datetime) -> list[str]:
        """The shell commands that create what this selector lacks."""
        parent = parent_of(selector)
        if parent is None:
            asked = [
                (collection, field_of(next(iter(leaves(part)))), compile_selector(part, as_of))
                for part in _alternatives(selector)
            ]
        else:
            pairs = ((collection, parent.field), (parent.parent, parent.key))
            asked = [(name, field, {field: PROBE}) for name, field in pairs]
        lacks = [(name, field) for name, field, condition in asked if self._scans(name, condition)]
        return [
            f"db.{name}.createIndex({json.dumps({field: 1})});"
            for name, field in dict.fromkeys(lacks)
        ]

    def _scans(self, collection: str, condition: Filter) -> bool:
        explained = self._reads.command(
            "explain", {"find": collection, "filter": condition}, verbosity="queryPlanner"
        )
        return "COLLSCAN" in json.dumps(explained["queryPlanner"]["winningPlan"], default=str)

    def indicators(self) -> tuple[Reading, ...]:
        with translated(self.name), pymongo.timeout(INDICATOR_SECONDS):
            return mongo_indicators.read(self._client.admin)

    def ping(self) -> None:
        """Raise `TargetUnreachable` or `TargetRefused` within seconds, before any long question."""
        with translated(self.name), pymongo.timeout(PING_SECONDS):
            self._reads.command("ping")
            self._writes.list_collection_names(filter={"name": COLLECTION})

    def population(self, collection: str) -> int:
        with translated(self.where(collection)), pymongo.timeout(POPULATION_SECONDS):
            return self._reads[collection].count_documents({}, hint={"_id": 1})

    def population_at_least(self, collection: str, enough: int) -> int:
        with translated(self.where(collection)), pymongo.timeout(COUNT_SECONDS):
            command = {
                "count": collection,
                "query": {"_id": {"$gte": MinKey()}},  # no query, and the books would answer
                "hint": {"_id": 1},
                "limit": enough,
            }
            return int(self._reads.command(command)["n"])

    def population_now(self, collection: str) -> int:
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            return self._writes[collection].estimated_document_count()

    def average_size(self, collection: str) -> int:
        """Bytes of a record, by the target's own books; 0 for an empty collection."""
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            return int(self._reads.command("collStats", collection).get("avgObjSize", 0))

    def count(self, collection: str, selector: Selector, as_of: datetime) -> int:
        parent = parent_of(selector)
        with translated(self.where(collection)), pymongo.timeout(COUNT_SECONDS):
            if parent is not None:
                orphans = MongoOrphans(self._writes, collection, selector, parent, as_of)
                return sum(map(len, orphans.pages((), COUNT_SECONDS)))
            return self._writes[collection].count_documents(compile_selector(selector, as_of))

    def count_of(
        self, collection: str, selector: Selector, as_of: datetime, keys: Sequence[Any]
    ) -> int:
        with translated(self.where(collection)), pymongo.timeout(COUNT_SECONDS):
            orphaned = orphaned_among(self._writes[collection], selector, keys)
            asked = compile_selector(selector, as_of, orphaned)
            condition = {"$and": [{"_id": {"$in": list(keys)}}, asked]}
            return self._writes[collection].count_documents(condition, hint={"_id": 1})

    def reported(self, collection: str, selector: Selector, as_of: datetime) -> dict[str, int]:
        parent = parent_of(selector)
        if parent is None:
            return {}
        with translated(self.where(collection)), pymongo.timeout(COUNT_SECONDS):
            return MongoOrphans(self._reads, collection, selector, parent, as_of).reported()

    def parents(self, collection: str, selector: Selector) -> dict[str, int]:
        parent = parent_of(selector)
        if parent is None:
            return {}
        with translated(self.where(parent.parent)), pymongo.timeout(LOOK_SECONDS):
            return {parent.parent: parent_population(self._writes, collection, parent)}

    def fence(
        self,
        name: str,
        collection: str,
        as_of: datetime,
        max_bytes: int,
        archive: Archive,
        origin: Origin | None = None,
    ) -> MongoFence:
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            if origin is not None:  # makes the quarantine, too, if this is its first record
                self._writes[collection + SUFFIX].create_index("until")
            return MongoFence(
                name=name,
                fences=self._writes[COLLECTION],
                records=self._writes.with_options(codec_options=_RAW)[collection],
                session=self._client.start_session(),
                as_of=as_of,
                max_bytes=max_bytes,
                archive=archive,
                origin=origin,
            )

    def judge(
        self, collection: str, as_of: datetime, held: Selector | None = None
    ) -> "JudgeInTime":
        primary = self._reads.with_options(
            codec_options=_RAW,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
        )
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            judge = MongoJudges(primary[collection], held=compile_held(held, as_of))
            return JudgeInTime(judge, self.where(collection))

    def committed(self, name: str) -> tuple[BatchRecord, ...]:
        with translated(self.where(COLLECTION)), pymongo.timeout(LOOK_SECONDS):
            primary = self._reads.with_options(read_preference=ReadPreference.PRIMARY)
            return committed(primary[COLLECTION], name)

    def close_fence(self, name: str) -> tuple[BatchRecord, ...]:
        return close_fence(self._writes[COLLECTION], name)

    def forget(self, prefix: str) -> None:
        with translated(self.where(COLLECTION)), pymongo.timeout(LOOK_SECONDS):
            self._writes[COLLECTION].delete_many({"_id": {"$gte": prefix, "$lt": prefix + "~"}})

    def ttl_indexes(self, collection: str) -> tuple[str, ...]:
        with translated(self.where(collection)), pymongo.timeout(LOOK_SECONDS):
            found = self._reads[collection].index_information()
        return tuple(name for name, index in found.items() if "expireAfterSeconds" in index)

    def mirror(self, document_id: str, action: str, details: dict[str, Any], at: datetime) -> None:
        with translated(self.where("auditlogs")), pymongo.timeout(LOOK_SECONDS):
            self._writes["auditlogs"].update_one(
                {"_id": document_id},
                {"$set": {"action": action, "details": details, "timestamp": at}},
                upsert=True,
            )


@dataclass(frozen=True)
class JudgeInTime:
    """The judge of an undo, outside of a transaction: each of its answers ends in time."""

    _judge: MongoJudges
    _where: str

    def judge(self, records: Sequence[RecordOutcome]) -> list[RecordOutcome]:
        with translated(self._where), pymongo.timeout(COUNT_SECONDS):
            return self._judge.judge(records)


class MongoReader:
    """Reads for a plan: its own connection if there is a read URL, and no way to write."""

    def __init__(
        self,
        target: MongoTarget,
        reads: Database[Document],
        collection: str,
        as_of: datetime,
        scan: bool,
        held: Selector | None,
    ) -> None:
        self._target = target
        self._records = reads[collection]
        self._collection = collection
        self._as_of = as_of
        self._scan = scan
        self._held = held
        self._related = MongoRelated(reads, target.name)

    def check(self, selector: Selector) -> None:
        self._target.check(self._collection, selector, self._as_of)

    def check_exists(self) -> None:
        self._target.check_exists(self._collection)

    def check_related(self, relations: Sequence[Relation]) -> None:
        with translated(self._target.name), pymongo.timeout(LOOK_SECONDS):
            self._related.check_related(relations)

    def newest(self, relation: Relation, keys: Sequence[Any]) -> Sequence[Newest]:
        with translated(self._target.where(relation.collection)), pymongo.timeout(PAGE_SECONDS):
            return self._related.newest(relation, keys)

    def match(self, relation: Relation, keys: Sequence[Any], selector: Selector) -> Sequence[bool]:
        condition = compile_selector(selector, self._as_of)
        with translated(self._target.where(relation.collection)), pymongo.timeout(PAGE_SECONDS):
            return self._related.match(relation, keys, condition)

    def count_related(self, relation: Relation, keys: Sequence[Any]) -> Sequence[int]:
        with translated(self._target.where(relation.collection)), pymongo.timeout(PAGE_SECONDS):
            return self._related.count_related(relation, keys)

    def walk(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        self.check_exists()
        where = self._target.where(self._collection)
        condition = compile_selector(spared(selector, self._held), self._as_of)
        last: Item | None = None
        while True:
            with translated(where), pymongo.timeout(PAGE_SECONDS):
                cursor = self._records.find(condition, {"_id": 1, **dict.fromkeys(fields, 1)})
                if last is not None:  # `$gt` would find keys of the last one's type alone
                    cursor = cursor.min([("_id", last.key)])
                found = cursor.hint([("_id", 1)]).limit(PAGE + 1)
                page = [Item(record["_id"], record) for record in found]
            if last is not None and page and identity(page[0].key) == identity(last.key):
                del page[0]
            if not page:
                return
            yield page
            last = page[-1]

    def select(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        where = self._target.where(self._collection)
        try:
            self._target.check(self._collection, selector, self._as_of)
        except IndexMissing:
            if not self._scan:
                raise
        selector = spared(selector, self._held)
        parent = parent_of(selector)
        with translated(where):
            database = self._records.database
            if parent is not None:
                orphans = MongoOrphans(database, self._collection, selector, parent, self._as_of)
                yield from map(RawPage, orphans.pages(fields, SCAN_SECONDS))
                return
            condition = compile_selector(selector, self._as_of)
            wanted = {"_id": 1, **dict.fromkeys(fields, 1)}
            limit = SCAN_SECONDS * 1000
            found = mongo_pages.pages(self._records, condition, wanted, max_time_ms=limit)
            yield from map(RawPage, mongo_pages.ahead(found))


def _alternatives(selector: Selector) -> Sequence[Selector]:
    """The parts of a selector that each need an index of their own."""
    while isinstance(selector, AllOf):
        selector = selector.all[0]
    return selector.any if isinstance(selector, AnyOf) else (selector,)
