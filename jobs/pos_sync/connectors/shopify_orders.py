"""Shopify's orders, line by line, as the GraphQL Admin API tells of them."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, Field, ValidationError

from jobs.pos_sync.connectors.shopify import More, query
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.products import Payload, shaped
from jobs.pos_sync.sales import Sale, SalesPage, sales_of
from jobs.pos_sync.transport import Http

_WHERE = "shopify orders"
_ORDERS = """
query($after: String, $query: String) {
  orders(first: 10, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id createdAt updatedAt cancelledAt
      lineItems(first: 100) {
        nodes { id title sku currentQuantity variant { id }
          discountedUnitPriceAfterAllDiscountsSet { shopMoney { amount currencyCode } } }
        pageInfo { hasNextPage } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class _Money(Payload):
    amount: Decimal
    currency: str = Field(alias="currencyCode")


class _Price(Payload):
    shop: _Money = Field(alias="shopMoney")


class _Variant(Payload):
    id: str


class _Line(Payload):
    id: str
    title: str
    sku: str | None = None
    quantity: int = Field(alias="currentQuantity", ge=0)
    variant: _Variant | None = None
    price: _Price = Field(alias="discountedUnitPriceAfterAllDiscountsSet")


class _Lines(Payload):
    nodes: tuple[_Line, ...]
    more: More = Field(alias="pageInfo")


class _Order(Payload):
    id: str
    created_at: AwareDatetime = Field(alias="createdAt")
    updated_at: AwareDatetime = Field(alias="updatedAt")
    cancelled_at: AwareDatetime | None = Field(None, alias="cancelledAt")
    lines: _Lines = Field(alias="lineItems")


class _Connection(Payload):
    nodes: tuple[Any, ...]
    more: More = Field(alias="pageInfo")


class _Orders(Payload):
    orders: _Connection


class _Answer(Payload):
    data: _Orders


class ShopifyOrders:
    """Takes the scope `read_orders`, and `read_all_orders` for those older than 60 days."""

    def page(self, http: Http, held: Credentials, cursor: str | None, since: datetime) -> SalesPage:
        wanted = f"updated_at:>='{since.isoformat()}'"
        try:
            answer = query(http, held, _ORDERS, {"after": cursor, "query": wanted})
        except SyncFailed as failed:
            if failed.kind is not Kind.FORBIDDEN:
                raise
            raise SyncFailed(Kind.FORBIDDEN, _WHERE, "missing: read_orders") from failed
        found = shaped(_Answer, answer, _WHERE).data.orders
        after = found.more.end_cursor if found.more.has_next_page else None
        if found.more.has_next_page and not after:
            raise SyncFailed(Kind.UNEXPECTED_SHAPE, _WHERE, "a next page without a cursor")
        return sales_of(found.nodes, _read, after)


def _read(record: Any) -> Iterator[Sale]:
    order = _Order.model_validate(record)
    if order.lines.more.has_next_page:
        raise ValidationError.from_exception_data(
            "Order", [{"type": "too_long", "loc": ("lineItems",), "input": None, "ctx": _MANY}]
        )
    for line in order.lines.nodes:
        quantity = 0 if order.cancelled_at is not None else line.quantity
        yield Sale(
            line=line.id,
            order=order.id,
            product=line.variant.id if line.variant else None,
            name=line.title,
            sku=line.sku,
            quantity=quantity,
            revenue=line.price.shop.amount * quantity,
            currency=line.price.shop.currency,
            sold_at=order.created_at,
            moment=order.updated_at,
        )


_MANY = {"field_type": "Tuple", "max_length": 100, "actual_length": 101}
