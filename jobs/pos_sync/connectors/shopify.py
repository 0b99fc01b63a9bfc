"""Shopify's GraphQL Admin API: variants of products, by cost, at most two requests a second."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import AwareDatetime, Field, ValidationError

from jobs.pos_sync.address import shop_url, store_url
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Pace
from jobs.pos_sync.products import Gone, Page, Payload, Product, page_of, shaped
from jobs.pos_sync.transport import Http

_PATH = "/admin/api/2026-10/graphql.json"
_SCOPES = ("read_inventory", "read_products")
_PRODUCTS = """
query($after: String, $query: String) {
  products(first: 50, after: $after, query: $query, sortKey: ID) {
    edges { cursor node { id title status updatedAt
      variants(first: 100) { nodes { id sku price inventoryQuantity }
        pageInfo { hasNextPage } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_SCOPES_QUERY = "query { currentAppInstallation { accessScopes { handle } } }"


class _Variant(Payload):
    id: str
    sku: str | None = None
    price: Decimal
    inventory_quantity: int | None = Field(None, alias="inventoryQuantity")


class More(Payload):
    """Of a connection, whether there is more of it, and from where."""

    has_next_page: bool = Field(alias="hasNextPage")
    end_cursor: str | None = Field(None, alias="endCursor")


class _Variants(Payload):
    nodes: tuple[_Variant, ...]
    more: More = Field(More(hasNextPage=False), alias="pageInfo")


class _Product(Payload):
    id: str
    title: str
    status: str
    updated_at: AwareDatetime = Field(alias="updatedAt")
    variants: _Variants


class _Edge(Payload):
    node: dict[str, Any]


class _Connection(Payload):
    edges: tuple[_Edge, ...]
    more: More = Field(alias="pageInfo")


class _Products(Payload):
    products: _Connection


class _Answer(Payload):
    data: _Products


class _Scope(Payload):
    handle: str


class _Installation(Payload):
    scopes: tuple[_Scope, ...] = Field(alias="accessScopes")


class _Installed(Payload):
    installation: _Installation = Field(alias="currentAppInstallation")


class _Scopes(Payload):
    data: _Installed


class _Throttle(Payload):
    available: float = Field(alias="currentlyAvailable")
    rate: float = Field(alias="restoreRate", gt=0)


class _Cost(Payload):
    requested: float = Field(alias="requestedQueryCost")
    throttle: _Throttle = Field(alias="throttleStatus")


class _Token(Payload):
    access_token: str
    refresh_token: str
    expires_in: int
    refresh_token_expires_in: int


class Shopify:
    """A shop is `name.myshopify.com`; its tokens expire and are refreshed."""

    name: ClassVar[str] = "shopify"
    called: ClassVar[str] = "Shopify"
    pace: ClassVar[Pace] = Pace(2, 1)
    every: ClassVar[timedelta] = timedelta(hours=4)
    needs: ClassVar[tuple[str, ...]] = ("access_token",)
    api_dies: ClassVar[datetime | None] = datetime(2027, 10, 1, tzinfo=UTC)
    steps: ClassVar[str] = (
        "1. In the Shopify admin, open Settings, Apps and sales channels, and our app.\n"
        "2. If it asks to be updated, allow read_products, read_inventory and read_orders.\n"
        "3. If it is not listed, install it again with the link we send you."
    )

    def address(self, declared: str, private: frozenset[str]) -> str:
        return store_url(declared, private) if declared.startswith("http") else shop_url(declared)

    def observe(self, document: Any) -> float:
        """How long until a query of the same cost can be paid."""
        try:
            cost = _Cost.model_validate(document["extensions"]["cost"])
        except (ValidationError, KeyError, TypeError):
            return 0.0
        lacks = cost.requested - cost.throttle.available
        return math.ceil(lacks / cost.throttle.rate) if lacks > 0 else 0.0

    def check(self, http: Http, held: Credentials) -> None:
        answer = query(http, held, _SCOPES_QUERY, {})
        found = shaped(_Scopes, answer, self.name).data.installation.scopes
        missing = [scope for scope in _SCOPES if scope not in {one.handle for one in found}]
        if missing:
            raise SyncFailed(Kind.FORBIDDEN, self.name, f"missing: {', '.join(missing)}")

    def page(
        self, http: Http, held: Credentials, cursor: str | None, since: datetime | None
    ) -> Page:
        wanted = None if since is None else f"updated_at:>='{since.isoformat()}'"
        answer = query(http, held, _PRODUCTS, {"after": cursor, "query": wanted})
        found = shaped(_Answer, answer, self.name).data.products
        after = found.more.end_cursor if found.more.has_next_page else None
        if found.more.has_next_page and not after:
            raise SyncFailed(Kind.UNEXPECTED_SHAPE, self.name, "a next page without a cursor")
        return page_of([edge.node for edge in found.edges], _read, after)

    def token_address(self, address: str) -> str:
        return address

    def refresh(self, http: Http, held: Credentials, now: datetime) -> Credentials:
        if held.refresh_token is None:
            raise SyncFailed(Kind.REVOKED, self.name, "its token is no longer accepted")
        form = {
            "client_id": held.need("client_id"),
            "client_secret": held.need("client_secret"),
            "grant_type": "refresh_token",
            "refresh_token": held.need("refresh_token"),
        }
        answer = http.ask("POST", "/admin/oauth/access_token", form=form, again=False)
        token = shaped(_Token, answer, self.name)
        return held.with_answer(
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            access_expires=now + timedelta(seconds=token.expires_in),
            refresh_expires=now + timedelta(seconds=token.refresh_token_expires_in),
        )


def query(http: Http, held: Credentials, text: str, variables: dict[str, Any]) -> Any:
    """The answer to a GraphQL query."""
    headers = {"X-Shopify-Access-Token": held.need("access_token")}
    return http.ask("POST", _PATH, headers=headers, body={"query": text, "variables": variables})


def _read(record: Any) -> Iterator[Product | Gone]:
    """What is not active is not for sale, so it counts as gone."""
    product = _Product.model_validate(record)
    if product.variants.more.has_next_page:
        raise ValidationError.from_exception_data(
            "Product", [{"type": "too_long", "loc": ("variants",), "input": None, "ctx": _MANY}]
        )
    for one in product.variants.nodes:
        if product.status != "ACTIVE":
            yield Gone(one.id, product.updated_at)
            continue
        yield Product(
            external_id=one.id,
            name=product.title,
            sku=one.sku,
            price=one.price,
            stock=one.inventory_quantity,
            moment=product.updated_at,
        )


_MANY = {"field_type": "Tuple", "max_length": 100, "actual_length": 101}
