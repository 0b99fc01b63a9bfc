"""Who is told, who is escalated to, and a control database whose clock a test moves."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from tests.worker.receiver import Heard, listening
from worker import database

PassTime = Callable[[timedelta], None]


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening() as found:
        yield found


@pytest.fixture
def lead() -> Iterator[Heard]:
    """Those of TEND_ESCALATE_URLS."""
    with listening() as found:
        yield found


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> PassTime:
    original = database.now
    ahead = [timedelta()]

    def now(session: Session) -> datetime:
        return original(session) + ahead[0]

    def forward(time: timedelta) -> None:
        ahead[0] += time

    monkeypatch.setattr(database, "now", now)
    return forward
