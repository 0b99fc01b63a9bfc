"""The generic REST connector: what a point-of-sale system answers to be synced (docs/pos.md)."""

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


class _Record(Payload):
    id: str
    updated_at: AwareDatetime
    deleted: bool = False


class _Sold(_Record):
    name: str
    sku: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    stock: int | None = None


class _Products(Payload):
    products: tuple[Any, ...]
    next_cursor: str | None


class _Status(Payload):
    status: str


class Rest:
    """`GET /status` and `GET /products` with a bearer token that does not expire."""

    name: ClassVar[str] = "rest"
    called: ClassVar[str] = "your point-of-sale system"
    pace: ClassVar[Pace] = Pace(5, 1)
    every: ClassVar[timedelta] = timedelta(hours=1)
    needs: ClassVar[tuple[str, ...]] = ("access_token",)
    api_dies: ClassVar[datetime | None] = None
    steps: ClassVar[str] = (
        "1. In the point-of-sale system, create a token that may read products.\n"
        "2. Send it to us over a safe channel, not by e-mail."
    )

    def address(self, declared: str, private: frozenset[str]) -> str:
        return store_url(declared, private)

    def observe(self, document: Any) -> float:  # noqa: ARG002 - it says nothing of its limits
        return 0.0

    def check(self, http: Http, held: Credentials) -> None:
        answer = http.ask("GET", "/status", headers=_bearer(held))
        status = shaped(_Status, answer, self.name).status
        if status != "ok":
            raise SyncFailed(Kind.SERVER_ERROR, self.name, "its status is not ok")

    def page(
        self, http: Http, held: Credentials, cursor: str | None, since: datetime | None
    ) -> Page:
        params = {"limit": "200"}
        if cursor is not None:
            params["cursor"] = cursor
        if since is not None:
            params["updated_since"] = since.isoformat()
        answer = http.ask("GET", "/products", headers=_bearer(held), params=params)
        found = shaped(_Products, answer, self.name)
        return page_of(found.products, _read, found.next_cursor)

    def token_address(self, address: str) -> str:
        return address

    def refresh(self, http: Http, held: Credentials, now: datetime) -> Credentials:  # noqa: ARG002 - its tokens are for good
        raise SyncFailed(Kind.REVOKED, self.name, "its token is no longer accepted")


def _bearer(held: Credentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {held.need('access_token')}"}


def _read(record: Any) -> Iterator[Product | Gone]:
    known = _Record.model_validate(record)
    if known.deleted:
        yield Gone(known.id, known.updated_at)
        return
    sold = _Sold.model_validate(record)
    yield Product(
        external_id=sold.id,
        name=sold.name,
        sku=sold.sku,
        price=sold.price,
        currency=sold.currency,
        stock=sold.stock,
        moment=sold.updated_at,
    )
