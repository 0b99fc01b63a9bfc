"""Probes as the command line prints them and the API answers: listed, one whole, and a look now."""

from typing import Any

from policies.probes import Probe
from worker.database import Database
from worker.errors import UnknownProbe
from worker.probes import glance, looking
from worker.probes.context import Site
from worker.registry import probes_in
from worker.settings import Settings
from worker.targets.kinds import opened_to_look

Document = dict[str, Any]


def listed(settings: Settings, database: Database) -> Document:
    """Every probe, the worst first."""
    known = probes_in(settings.policy_directories)
    with database.reading() as session:
        return {"probes": glance.glance(session, known)}


def shown(settings: Settings, database: Database, name: str) -> Document:
    """One probe: its troubles with what to do, and what the last looks read."""
    known = probes_in(settings.policy_directories)
    with database.reading() as session:
        return glance.details(session, known, name)


def looked(settings: Settings, database: Database, name: str) -> Document:
    """What one look reads now and from here; it is not kept and counts for nothing."""
    wanted = named(settings, name)
    with opened_to_look(settings) as targets:
        found = looking.look(Site.to_look(settings, database, targets), wanted)
    return {
        "probe": name,
        "off": found.off,
        "remarks": list(found.look.remarks),
        "readings": [one._asdict() for one in found.look.readings],
    }


def named(settings: Settings, name: str) -> Probe:
    """Raises `UnknownProbe`."""
    found = probes_in(settings.policy_directories).get(name)
    if found is None:
        raise UnknownProbe(f"There is no probe '{name}'; `tend probes` lists them.")
    return found
