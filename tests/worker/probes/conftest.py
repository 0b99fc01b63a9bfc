"""A site whose control database is a file: what is looked at here is elsewhere."""

import pytest

from tests.worker.probes import watch as watching
from tests.worker.probes.kinds import Told
from tests.worker.probes.watch import Watch
from worker import registry
from worker.database import Database
from worker.keys import Keyring
from worker.probes import looking
from worker.probes.context import Site


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def watch(control: Database, keyring: Keyring) -> Watch:
    return Watch(Site(control, {}, None, host="this-host"), keyring)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """A kind of probe beside those that are shipped."""
    kind = Told()
    known = {**registry.probe_kinds(), kind.name: kind}
    monkeypatch.setattr(looking, "probe_kinds", lambda: known)
    monkeypatch.setattr(watching, "probe_kinds", lambda: known)
    return kind
