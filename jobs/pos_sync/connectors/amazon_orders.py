"""Amazon's orders: a page of them, and the items of each, at the paces that Amazon sets."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pydantic import AwareDatetime, Field

from jobs.pos_sync.connectors.amazon import headers
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Lane, Pace
from jobs.pos_sync.products import Payload, shaped
from jobs.pos_sync.sales import Sale, SalesPage, sales_of
from jobs.pos_sync.transport import Http

_WHERE = "amazon orders"
_PATH = "/orders/v0/orders"
_LISTS = Lane("orders", Pace(1, 60, 20))
_ITEMS = Lane("order items", Pace(1, 2, 30))
_UNPRICED = ("Pending", "PendingAvailability")
"""Nothing is sold yet and no price is known; the order changes when that is decided."""


class _Money(Payload):
    amount: Decimal = Field(alias="Amount")
    currency: str = Field(alias="CurrencyCode")


class _Order(Payload):
    id: str = Field(alias="AmazonOrderId")
    status: str = Field(alias="OrderStatus")
    purchased: AwareDatetime = Field(alias="PurchaseDate")
    updated: AwareDatetime = Field(alias="LastUpdateDate")


class _Item(Payload):
    id: str = Field(alias="OrderItemId")
    title: str = Field("", alias="Title")
    sku: str | None = Field(None, alias="SellerSKU")
    quantity: int = Field(alias="QuantityOrdered", ge=0)
    price: _Money | None = Field(None, alias="ItemPrice")
    discount: _Money | None = Field(None, alias="PromotionDiscount")


class _List(Payload):
    orders: tuple[Any, ...] = Field(alias="Orders")
    next_token: str | None = Field(None, alias="NextToken")


class _ListAnswer(Payload):
    payload: _List


class _Items(Payload):
    items: tuple[Any, ...] = Field(alias="OrderItems")
    next_token: str | None = Field(None, alias="NextToken")


class _ItemsAnswer(Payload):
    payload: _Items


class AmazonOrders:
    """Takes the role Inventory and Order Tracking."""

    def page(self, http: Http, held: Credentials, cursor: str | None, since: datetime) -> SalesPage:
        params = {"MarketplaceIds": held.need("marketplace_id"), "MaxResultsPerPage": "20"}
        if cursor is None:
            params["LastUpdatedAfter"] = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        else:
            params["NextToken"] = cursor
        answer = _ask(http, held, _PATH, params, _LISTS)
        found = shaped(_ListAnswer, answer, _WHERE).payload
        return sales_of(found.orders, lambda order: _read(http, held, order), found.next_token)


def _read(http: Http, held: Credentials, record: Any) -> Iterator[Sale]:
    order = _Order.model_validate(record)
    if order.status in _UNPRICED:
        return
    for one in _items(http, held, order.id):
        item = _Item.model_validate(one)
        is_sold = item.price is not None and order.status != "Canceled"
        quantity = item.quantity if is_sold else 0
        discount = item.discount.amount if item.discount else Decimal(0)
        revenue = item.price.amount - discount if item.price and quantity else Decimal(0)
        yield Sale(
            line=f"{order.id}/{item.id}",
            order=order.id,
            product=item.sku,
            name=item.title,
            sku=item.sku,
            quantity=quantity,
            revenue=revenue,
            currency=item.price.currency if item.price else "XXX",
            sold_at=order.purchased,
            moment=order.updated,
        )


def _items(http: Http, held: Credentials, order: str) -> Iterator[Any]:
    path = f"{_PATH}/{quote(order, safe='')}/orderItems"
    params: dict[str, str] = {}
    while True:
        answer = _ask(http, held, path, params, _ITEMS)
        found = shaped(_ItemsAnswer, answer, _WHERE).payload
        yield from found.items
        if not found.next_token:
            return
        if params.get("NextToken") == found.next_token:
            raise SyncFailed(Kind.CURSOR_ENDLESS, _WHERE, "its items never end")
        params = {"NextToken": found.next_token}


def _ask(http: Http, held: Credentials, path: str, params: dict[str, str], lane: Lane) -> Any:
    try:
        return http.ask("GET", path, headers=headers(held), params=params, lane=lane)
    except SyncFailed as failed:
        if failed.kind is not Kind.FORBIDDEN:
            raise
        missing = "missing: the role Inventory and Order Tracking"
        raise SyncFailed(Kind.FORBIDDEN, _WHERE, missing) from failed
