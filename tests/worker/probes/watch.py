"""A probe looked at as often as a test wants, and the alerts that came of it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from jobs.probing import Reading
from policies.probes import Probe
from worker.keys import Keyring
from worker.probes import claiming, looking, recording
from worker.probes.context import Site
from worker.probes.looking import Looked
from worker.registry import probe_kinds
from worker.tables import Alert


def probe(kind: str, options: dict[str, Any], **keys: Any) -> Probe:
    """A probe as its file would say it, raised after two looks and cleared after two."""
    document = {
        "name": "under-test",
        "kind": kind,
        "description": "A probe of a test.",
        "raise_after": 2,
        "clear_after": 2,
        "options": probe_kinds()[kind].Options.model_validate(options),
    }
    return Probe.model_validate({**document, **keys})


@dataclass(frozen=True)
class Watch:
    """Looks and records, without the prober's threads and times."""

    site: Site
    keyring: Keyring

    def look(self, wanted: Probe, times: int = 1) -> list[Reading]:
        """What the last of so many looks read."""
        for _ in range(times):
            looked = looking.look(self.site, wanted)
            self.record(wanted, looked)
        return list(looked.look.readings)

    def record(self, wanted: Probe, looked: Looked) -> None:
        place = looking.place_of(wanted, self.site)
        claiming.claim(self.site.database, wanted, place)
        recording.record(self.site.database, self.keyring, wanted, place, looked, 1)

    def checks_that_are_ill(self, wanted: Probe) -> set[str]:
        """Of one look that is not recorded."""
        found = looking.look(self.site, wanted).look.readings
        return {one.check for one in found if one.ill}

    @property
    def alerts(self) -> list[tuple[str, bool]]:
        """The cause of every alert that was ever raised, and whether it stands."""
        with self.site.database.transaction() as session:
            found = session.scalars(select(Alert).order_by(Alert.id)).all()
        return [(one.cause, one.cleared_at is None) for one in found]
