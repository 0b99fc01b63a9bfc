"""Somebody who is told."""

from collections.abc import Iterator

import pytest

from tests.worker.receiver import Heard, listening


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening() as found:
        yield found
