"""What the console has open: settings, policies, the control database and the targets."""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker import bootstrap, revisions
from worker.audit import keeping
from worker.console.readiness import Readiness
from worker.database import Database
from worker.engine import Engine
from worker.identity import Actor
from worker.metrics.collector import Metrics
from worker.registry import Policies
from worker.settings import Settings

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass
class Installation:
    """One for the process, shared by every request; each is opened when it is first asked for."""

    settings: Settings
    database: Database
    readiness: Readiness
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the process must stop: what streams to a browser ends then."""
    _is_current: bool = False
    _engine: Engine | None = None
    _policies: tuple[_Stamp, Policies] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.settings, self.database)

    def must_be_current(self) -> None:
        """Raise `DatabaseNotMigrated` unless this code may use the control database."""
        if not self._is_current:
            revisions.require_current(self.database)
            self._is_current = True

    def engine(self, actor: Actor) -> Engine:
        """The targets and the archive, for whoever asks.

        Raises what the command line does where a setting is missing.
        """
        with self._lock:
            if self._engine is None:
                keeping.require_anchored(self.settings, self.database)
                self._engine = bootstrap.open_engine(self.settings, self.database)
        return replace(self._engine, actor=actor)

    def policies(self) -> Policies:
        """Those in force now: read again when a file of theirs has changed."""
        directories = self.settings.policy_directories
        stamp = tuple(_stamps(directories))
        with self._lock:
            if self._policies is None or self._policies[0] != stamp:
                self._policies = stamp, Policies.load(directories)
            return self._policies[1]

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.close()
                self._engine = None


def _stamps(directories: tuple[Path, ...]) -> list[tuple[str, int, int]]:
    found = (path for folder in directories for path in sorted(folder.glob("*.y*ml")))
    return [(str(path), (seen := path.stat()).st_mtime_ns, seen.st_size) for path in found]
