"""`docs/looking.md` is compared with what its commands print."""

from typing import Any

from tests.docs.pages import PAGES, section
from tests.worker.cli.conftest import Tend, ago

PAGE = PAGES["docs/looking.md"]


def nested_keys(value: Any) -> set[str]:
    """Every key in a document, at whatever depth; those of `facts` and `fields` are data."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found |= {key} | (set() if key in {"facts", "fields"} else nested_keys(inner))
    for inner in value if isinstance(value, list) else ():
        found |= nested_keys(inner)
    return found


def test_the_keys_of_an_explanation_are_documented(tend: Tend) -> None:
    tend.shop.salesData.insert_one({"_id": 1, "quantity": -1, "createdAt": ago(3000)})
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.json("undo", "r-1", "--reason", "x", "--inline")
    told = tend.json("explain", "mongo/salesData/1")
    for key in nested_keys(told):
        assert f"`{key}`" in section(PAGE, "JSON of an explanation"), key


def test_the_keys_of_a_status_are_documented(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    tend.json("plan", "text-dates")
    told = tend.json("status")
    assert told["runs"]
    for key in nested_keys({**told, "runs": []}):
        assert f"`{key}`" in section(PAGE, "JSON of a status"), key


def test_the_keys_of_a_report_are_documented(tend: Tend) -> None:
    tend.old_sales(3)
    for key in nested_keys(tend.json("report", "retention", "--policy", "sales-retention")):
        assert f"`{key}`" in section(PAGE, "JSON of a report"), key


def test_the_keys_of_indexes_are_documented(tend: Tend) -> None:
    created = tend.json("indexes", "create", "salesData.storeId", "--reason", "x")
    for key in nested_keys([tend.json("indexes"), created]):
        assert f"`{key}`" in section(PAGE, "JSON of indexes"), key
