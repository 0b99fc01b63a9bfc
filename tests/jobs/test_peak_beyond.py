"""The policies of The Peak Beyond, in SQL: what each is after, and what it leaves."""

from datetime import timedelta

from tests.jobs.damage import DUE, Damage
from tests.jobs.peak_beyond import product
from tests.worker.scenario import NOW

HALF = DUE // 2


def _ago(days: int, seconds: int = 0) -> str:
    return (NOW - timedelta(days=days, seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


DAMAGE: dict[str, Damage] = {
    "negative-stock": Damage(
        [product(stock=-1 - number) for number in range(DUE)],
        [
            *(product(stock=number) for number in range(HALF)),
            *(product(stock=None) for _ in range(HALF)),
        ],
    ),
    "orphaned-products": Damage(
        [product(store_id=90 + number, updated_at=_ago(1, 1)) for number in range(DUE)],
        [
            *(product(updated_at=_ago(999)) for _ in range(HALF)),
            *(product(store_id=99, updated_at=_ago(1)) for _ in range(HALF - 2)),
            *(product(store_id=None, updated_at=_ago(999)) for _ in range(2)),
        ],
        {"stores": [{"id": 1, "name": "Camp"}]},
    ),
    "negative-prices": Damage(
        [product(price=f"-{number}.01") for number in range(DUE)],
        [
            *(product(price=f"{number}.00") for number in range(HALF)),
            *(product(price=None) for _ in range(HALF)),
        ],
    ),
    "stale-products": Damage(
        [product(stock=-(number % 2), updated_at=_ago(180, 1)) for number in range(DUE)],
        [
            *(product(stock=0, updated_at=_ago(180)) for _ in range(HALF)),
            *(product(stock=1 + number, updated_at=_ago(999)) for number in range(HALF - 2)),
            *(product(stock=None, updated_at=_ago(999)) for _ in range(2)),
        ],
    ),
}
