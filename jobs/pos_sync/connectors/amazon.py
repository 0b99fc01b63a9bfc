"""Amazon's Selling Partner API: the listings of one seller in one marketplace."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import AwareDatetime, Field

from jobs.pos_sync.address import store_url
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.limits import Pace
from jobs.pos_sync.products import Gone, Page, Payload, Product, page_of, shaped
from jobs.pos_sync.transport import Http

TOKENS = "https://api.amazon.com"


class _Summary(Payload):
    marketplace_id: str = Field(alias="marketplaceId")
    name: str = Field(alias="itemName")
    updated: AwareDatetime = Field(alias="lastUpdatedDate")


class _Money(Payload):
    amount: Decimal
    currency: str = Field(alias="currencyCode")


class _Offer(Payload):
    marketplace_id: str = Field(alias="marketplaceId")
    price: _Money


class _Stock(Payload):
    quantity: int | None = None


class _Listing(Payload):
    sku: str
    summaries: tuple[_Summary, ...] = Field(min_length=1)
    offers: tuple[_Offer, ...] = ()
    stock: tuple[_Stock, ...] = Field((), alias="fulfillmentAvailability")


class _Pagination(Payload):
    next_token: str | None = Field(None, alias="nextToken")


class _Found(Payload):
    """`numberOfResults` is always there: what lacks it is no page, so no empty one either."""

    total: int = Field(alias="numberOfResults")
    items: tuple[Any, ...]
    pagination: _Pagination = _Pagination()


class _Participations(Payload):
    payload: tuple[Any, ...]


class _Token(Payload):
    access_token: str
    expires_in: int
    refresh_token: str | None = None


class Amazon:
    """Every access token lives an hour and comes from the refresh token."""

    name: ClassVar[str] = "amazon"
    called: ClassVar[str] = "Amazon"
    pace: ClassVar[Pace] = Pace(5, 1)
    every: ClassVar[timedelta] = timedelta(hours=6)
    needs: ClassVar[tuple[str, ...]] = (
        "refresh_token",
        "client_id",
        "client_secret",
        "seller_id",
        "marketplace_id",
    )
    api_dies: ClassVar[datetime | None] = None
    steps: ClassVar[str] = (
        "1. In Seller Central, open Apps and Services, Manage Your Apps.\n"
        "2. Authorise our application again (an authorisation lasts a year), with the roles\n"
        "   Product Listing and Inventory and Order Tracking.\n"
        "3. Send us the new refresh token over a safe channel."
    )

    def address(self, declared: str, private: frozenset[str]) -> str:
        return store_url(declared, private)

    def observe(self, document: Any) -> float:  # noqa: ARG002 - its limits are in no body
        return 0.0

    def check(self, http: Http, held: Credentials) -> None:
        answer = http.ask("GET", "/sellers/v1/marketplaceParticipations", headers=headers(held))
        shaped(_Participations, answer, self.name)

    def page(
        self, http: Http, held: Credentials, cursor: str | None, since: datetime | None
    ) -> Page:
        marketplace = held.need("marketplace_id")
        params = {
            "marketplaceIds": marketplace,
            "includedData": "summaries,offers,fulfillmentAvailability",
            "pageSize": "20",
        }
        if cursor is not None:
            params["pageToken"] = cursor
        if since is not None:
            params["lastUpdatedAfter"] = since.isoformat()
        path = f"/listings/2021-08-01/items/{quote(held.need('seller_id'), safe='')}"
        answer = http.ask("GET", path, headers=headers(held), params=params)
        found = shaped(_Found, answer, self.name)

        def read(record: Any) -> Iterator[Product | Gone]:
            yield _read(record, marketplace)

        return page_of(found.items, read, found.pagination.next_token)

    def token_address(self, address: str) -> str:
        """Amazon's one host for tokens; a store in a private network keeps its own."""
        return TOKENS if address.endswith(".amazon.com") else address

    def refresh(self, http: Http, held: Credentials, now: datetime) -> Credentials:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": held.need("refresh_token"),
            "client_id": held.need("client_id"),
            "client_secret": held.need("client_secret"),
        }
        answer = http.ask("POST", "/auth/o2/token", form=form, again=False)
        token = shaped(_Token, answer, self.name)
        return held.with_answer(
            access_token=token.access_token,
            refresh_token=token.refresh_token or held.need("refresh_token"),
            access_expires=now + timedelta(seconds=token.expires_in),
        )


def headers(held: Credentials) -> dict[str, str]:
    """What opens every one of its doors."""
    return {"x-amz-access-token": held.need("access_token")}


def _read(record: Any, marketplace: str) -> Product:
    listing = _Listing.model_validate(record)
    summary = next(
        (one for one in listing.summaries if one.marketplace_id == marketplace),
        listing.summaries[0],
    )
    money = next((one.price for one in listing.offers if one.marketplace_id == marketplace), None)
    counted = [one.quantity for one in listing.stock if one.quantity is not None]
    return Product(
        external_id=listing.sku,
        name=summary.name,
        sku=listing.sku,
        price=money.amount if money else None,
        currency=money.currency if money else None,
        stock=sum(counted) if counted else None,
        moment=summary.updated,
    )
