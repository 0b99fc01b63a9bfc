from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from demo.damage import KINDS, Count, Damage
from demo.dataset import load
from demo.retail import DatasetError
from demo.servers import Mongo

Data = Database[dict[str, Any]]

ROWS = 4000
NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)
YOUNG = {"createdAt": {"$gte": NOW - timedelta(days=2555)}}
NEGATIVE, SOUND = {"$lt": 0}, {"$gte": 0}
A_DATE = r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$"
CLOSED, VANISHED = (ObjectId(f"{first:08x}" + "0" * 16) for first in (1, 2))
"""The first account of each kind that there is beside the households."""
SEVEN_YEARS_AGO, SEVEN_TIMES_365_DAYS_AGO = NOW.replace(year=2019), NOW - timedelta(days=2555)

# What a person who looks for each kind would ask the database, written without the loader.
QUERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "sales": ("salesData", {}),
    "negative_quantity": ("salesData", {"quantity": NEGATIVE, "revenue": SOUND}),
    "negative_revenue": ("salesData", {"quantity": SOUND, "revenue": NEGATIVE}),
    "refunds": ("salesData", {"quantity": NEGATIVE, "revenue": NEGATIVE, "type": "return"}),
    "negative_both": ("salesData", {"quantity": NEGATIVE, "revenue": NEGATIVE, "type": None}),
    "text_dates": ("salesData", {"date": {"$type": "string", "$regex": A_DATE}}),
    "unreadable_dates": ("salesData", {"date": {"$type": "string", "$not": {"$regex": A_DATE}}}),
    "sessions_expired": ("sessions", {"expiresAt": {"$lt": NOW}, "isActive": True}),
    "sessions_inactive": ("sessions", {"expiresAt": {"$gte": NOW}, "isActive": False}),
    "sessions_alive": ("sessions", {"expiresAt": {"$gt": NOW}, "isActive": True}),
    "oauth_states_old": ("oauthstates", {"timestamp": {"$lt": NOW - timedelta(minutes=10)}}),
    "oauth_states_fresh": ("oauthstates", {"timestamp": {"$gte": NOW - timedelta(minutes=10)}}),
    "audit_logs_old": ("auditlogs", {"timestamp": {"$lt": SEVEN_YEARS_AGO}}),
    "audit_logs_leap": (
        "auditlogs",
        {"timestamp": {"$gte": SEVEN_YEARS_AGO, "$lt": SEVEN_TIMES_365_DAYS_AGO}},
    ),
    "audit_logs_young": ("auditlogs", {"timestamp": {"$gte": SEVEN_TIMES_365_DAYS_AGO}}),
    "forecasts_sound": ("forecasts", {"userId": {"$lt": CLOSED}}),
    "forecasts_closed": ("forecasts", {"userId": {"$gte": CLOSED, "$lt": VANISHED}}),
    "forecasts_orphaned": (
        "forecasts",
        {"userId": {"$gte": VANISHED}, "createdAt": {"$lt": NOW - timedelta(hours=1)}},
    ),
    "forecasts_fresh": (
        "forecasts",
        {"userId": {"$gte": VANISHED}, "createdAt": {"$gte": NOW - timedelta(hours=1)}},
    ),
    "accounts_closed": ("users", {"deletedAt": {"$lt": NOW - timedelta(days=30)}}),
    "accounts_in_grace": ("users", {"deletedAt": {"$gte": NOW - timedelta(days=30)}}),
}


@pytest.fixture(scope="module")
def loaded(
    mongo_server: Mongo, mongo_admin: MongoClient[dict[str, Any]]
) -> Iterator[tuple[Data, Damage]]:
    """One data set for the tests that only read it."""
    with MongoClient[dict[str, Any]](mongo_server.url(user="tend"), tz_aware=True) as client:
        database = client["test_dataset"]
        yield database, load(database, ROWS, NOW)
    mongo_admin.drop_database("test_dataset")


@pytest.mark.parametrize("name", [field.name for field in fields(Damage)])
def test_the_database_holds_the_damage_that_was_reported(
    loaded: tuple[Data, Damage], name: str
) -> None:
    database, damage = loaded
    collection, query = QUERIES[name]
    found = database[collection].count_documents(query)
    reported = getattr(damage, name)
    if isinstance(reported, Count):
        young = database[collection].count_documents(query | YOUNG)
        assert reported == Count(found, young)
        assert young > 0
    assert found > 0


def test_every_record_is_of_a_documented_kind(loaded: tuple[Data, Damage]) -> None:
    database, damage = loaded
    assert damage.sales.total == ROWS
    for collection in ("sessions", "oauthstates", "auditlogs", "forecasts"):
        documented = sum(getattr(damage, kind.name) for kind in KINDS[collection])
        assert database[collection].count_documents({}) == documented


def test_text_dates_name_the_day_of_the_sale_and_the_others_name_none(
    loaded: tuple[Data, Damage],
) -> None:
    database, _ = loaded
    forms = set()
    for sale in database["salesData"].find({"date": {"$type": "string", "$regex": A_DATE}}):
        moment = datetime.fromisoformat(sale["date"])
        forms.add(len(sale["date"]))
        assert moment.date() == sale["createdAt"].date()
    assert len(forms) == 2
    unreadable = {"date": {"$type": "string", "$not": {"$regex": A_DATE}}}
    for text in database["salesData"].distinct("date", unreadable):
        with pytest.raises(ValueError, match="Invalid isoformat"):
            datetime.fromisoformat(text)


def test_sales_are_spread_evenly_over_the_nine_years_before_now(
    loaded: tuple[Data, Damage],
) -> None:
    sales = loaded[0]["salesData"]
    for year in range(9):
        start, end = (NOW - timedelta(days=365 * (year + one)) for one in (1, 0))
        share = sales.count_documents({"createdAt": {"$gte": start, "$lt": end}}) / ROWS
        assert share == pytest.approx(1 / 9, rel=0.15)
    assert sales.count_documents({"createdAt": {"$gte": NOW}}) == 0


def test_every_sale_and_session_belongs_to_someone(loaded: tuple[Data, Damage]) -> None:
    database, _ = loaded
    users = database["users"].distinct("_id", {"deletedAt": None})
    stores = database["stores"].distinct("_id")
    assert (len(users), len(stores)) == (2469, 457)
    sales = database["salesData"]
    assert sales.count_documents({"userId": {"$in": users}, "storeId": {"$in": stores}}) == ROWS
    assert database["sessions"].count_documents({"userId": {"$nin": users}}) == 0


def test_a_sale_carries_the_real_row_and_its_product(loaded: tuple[Data, Damage]) -> None:
    first = loaded[0]["salesData"].find_one(
        {}, {"_id": 0, "userId": 0, "storeId": 0}, sort={"createdAt": 1}
    )
    moment = NOW - 9 * (
        datetime(2018, 1, 1, 5, tzinfo=UTC) - datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    )
    assert first == {
        "productId": "1095275",
        "productName": "ROLLS: BAGELS 4 OZ",
        "sku": "2-1095275",
        "category": "ROLLS",
        "quantity": 1,
        "revenue": 0.5,
        "cost": 0.35,
        "date": moment,
        "createdAt": moment,
    }


@pytest.mark.parametrize(
    ("collection", "fields_read"),
    [
        ("salesData", {"createdAt", "quantity", "revenue", "cost", "date", "userId"}),
        ("sessions", {"expiresAt", "isActive", "sessionId", "userId"}),
        ("forecasts", {"userId"}),
        ("users", {"deletedAt"}),
        ("stores", {"userId"}),
        ("oauthstates", {"timestamp"}),
        ("auditlogs", {"timestamp"}),
    ],
)
def test_every_field_a_policy_reads_is_indexed(
    loaded: tuple[Data, Damage], collection: str, fields_read: set[str]
) -> None:
    indexes = loaded[0][collection].index_information()
    assert {index["key"][0][0] for index in indexes.values()} == fields_read | {"_id"}
    assert indexes.get("sessionId_1", {"unique": True})["unique"]


def test_a_seed_always_gives_the_same_data(
    loaded: tuple[Data, Damage], mongo_database: Data
) -> None:
    database, damage = loaded
    assert load(mongo_database, ROWS, NOW) == damage
    first, again = (list(d["salesData"].find().sort("_id")) for d in (database, mongo_database))
    assert again == first
    assert mongo_database["sessions"].distinct("sessionId") == database["sessions"].distinct(
        "sessionId"
    )


def test_progress_ends_at_the_number_of_documents(mongo_database: Data) -> None:
    steps: list[tuple[int, int]] = []
    load(mongo_database, 100, NOW, progress=lambda done, total: steps.append((done, total)))
    names = mongo_database.list_collection_names()
    documents = sum(mongo_database[name].count_documents({}) for name in names)
    assert steps[-1] == (documents, documents)
    assert steps == sorted(set(steps))


def test_the_29th_of_february_has_a_seventh_year_before_it(mongo_database: Data) -> None:
    leap_day = datetime(2028, 2, 29, tzinfo=UTC)
    damage = load(mongo_database, 100, leap_day)
    old = {"timestamp": {"$lt": datetime(2021, 2, 28, tzinfo=UTC)}}
    assert mongo_database["auditlogs"].count_documents(old) == damage.audit_logs_old


@pytest.mark.parametrize("rows", [0, -1, 1_469_308])
def test_a_number_of_rows_that_cannot_be_had_is_one_sentence(
    mongo_database: Data, rows: int
) -> None:
    with pytest.raises(DatasetError, match="ask for 1 to 1,469,307"):
        load(mongo_database, rows, NOW)
    assert mongo_database.list_collection_names() == []
