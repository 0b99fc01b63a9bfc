"""Square: the catalogue by `SearchCatalogObjects`, a kiosk's REST point of sale."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import AwareDatetime

from jobs.pos_sync.address import store_url
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Pace
from jobs.pos_sync.products import Gone, Page, Payload, Product, page_of, shaped
from jobs.pos_sync.transport import Http

_VERSION = "2026-10-15"
_WHOLE = frozenset({"JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF", "PYG"})
"""Currencies without a smaller coin: their amount is the price."""
_THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})


class _Money(Payload):
    amount: int
    currency: str

    @property
    def price(self) -> Decimal:
        places = 0 if self.currency in _WHOLE else 3 if self.currency in _THOUSANDTHS else 2
        return Decimal(self.amount).scaleb(-places)


class _Priced(Payload):
    name: str = ""
    sku: str | None = None
    price_money: _Money | None = None


class _Variation(Payload):
    id: str
    updated_at: AwareDatetime
    is_deleted: bool = False
    item_variation_data: _Priced | None = None


class _ItemData(Payload):
    name: str
    variations: tuple[_Variation, ...]


class _Object(Payload):
    id: str
    updated_at: AwareDatetime
    is_deleted: bool


class _Item(_Object):
    item_data: _ItemData


class _Found(Payload):
    """Square leaves `objects` out of an empty page, but never `latest_time`."""

    objects: tuple[Any, ...] = ()
    cursor: str | None = None
    latest_time: AwareDatetime


class _Merchants(Payload):
    merchant: Any


class _Token(Payload):
    access_token: str
    refresh_token: str
    expires_at: AwareDatetime


class Square:
    """What is deleted comes with the page, since a search includes it on request."""

    name: ClassVar[str] = "square"
    called: ClassVar[str] = "Square"
    pace: ClassVar[Pace] = Pace(5, 1)
    every: ClassVar[timedelta] = timedelta(hours=1)
    needs: ClassVar[tuple[str, ...]] = ("access_token",)
    api_dies: ClassVar[datetime | None] = None
    steps: ClassVar[str] = (
        "1. Sign in to the Square Dashboard as the owner: Apps, My apps.\n"
        "2. Disconnect our application there, and connect it again with the link we send you.\n"
        "3. Allow ITEMS_READ and MERCHANT_PROFILE_READ when Square asks."
    )

    def address(self, declared: str, private: frozenset[str]) -> str:
        return store_url(declared, private)

    def observe(self, document: Any) -> float:  # noqa: ARG002 - Square says nothing of its limits
        return 0.0

    def check(self, http: Http, held: Credentials) -> None:
        answer = http.ask("GET", "/v2/merchants/me", headers=_headers(held))
        shaped(_Merchants, answer, self.name)

    def page(
        self, http: Http, held: Credentials, cursor: str | None, since: datetime | None
    ) -> Page:
        query: dict[str, Any] = {"object_types": ["ITEM"], "include_deleted_objects": True}
        if cursor is not None:
            query["cursor"] = cursor
        if since is not None:
            query["begin_time"] = since.isoformat()
        answer = http.ask("POST", "/v2/catalog/search", headers=_headers(held), body=query)
        found = shaped(_Found, answer, self.name)
        return page_of(found.objects, _read, found.cursor)

    def token_address(self, address: str) -> str:
        return address

    def refresh(self, http: Http, held: Credentials, now: datetime) -> Credentials:  # noqa: ARG002 - Square says a moment
        if held.refresh_token is None:
            raise SyncFailed(Kind.REVOKED, self.name, "its token is no longer accepted")
        body = {
            "client_id": held.need("client_id"),
            "client_secret": held.need("client_secret"),
            "grant_type": "refresh_token",
            "refresh_token": held.need("refresh_token"),
        }
        answer = http.ask("POST", "/oauth2/token", body=body, again=False)
        token = shaped(_Token, answer, self.name)
        return held.with_answer(
            access_token=token.access_token,
            refresh_token=token.refresh_token,
            access_expires=token.expires_at,
        )


def _headers(held: Credentials) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {held.need('access_token')}",
        "Square-Version": _VERSION,
    }


def _read(record: Any) -> Iterator[Product | Gone]:
    """An item's variations are what is sold; of a deleted item only its own id is left."""
    known = _Object.model_validate(record)
    if known.is_deleted:
        yield Gone(known.id, known.updated_at)
        return
    item = _Item.model_validate(record)
    for one in item.item_data.variations:
        if one.is_deleted or one.item_variation_data is None:
            yield Gone(one.id, one.updated_at)
            continue
        priced = one.item_variation_data
        money = priced.price_money
        yield Product(
            external_id=one.id,
            part_of=item.id,
            name=item.item_data.name,
            sku=priced.sku,
            price=money.price if money else None,
            currency=money.currency if money else None,
            moment=one.updated_at,
        )
