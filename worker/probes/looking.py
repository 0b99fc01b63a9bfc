"""One look: a kind asked, and whatever goes wrong told as a reading of its own."""

from dataclasses import dataclass, field, replace

import structlog

from jobs.probing import Look, Reading
from policies.errors import TendError
from policies.probes import ANSWERS, Probe
from worker.errors import SettingError, TargetMissing
from worker.logs import safe_text
from worker.probes.context import Looking, Site
from worker.registry import probe_kinds

log = structlog.get_logger()

NO_ENDPOINTS = "nothing is named yet that could be looked at: say so in an overlay of its policy."


@dataclass(frozen=True)
class Looked:
    """What came of a look: readings, or why there is nothing here to look at."""

    look: Look = field(default_factory=lambda: Look(()))
    off: str | None = None


def place_of(probe: Probe, site: Site) -> str:
    """The host, for probes that each of them looks at by itself."""
    return site.host if probe_kinds()[probe.kind].each_host else ""


def look(site: Site, probe: Probe, *, spread: float = 0.0) -> Looked:
    """Look once; raises nothing that a target could cause."""
    if not probe.enabled:
        return Looked(off="it is switched off: enabled is false.")
    if probe.options.is_empty:
        return Looked(off=NO_ENDPOINTS)
    place = place_of(probe, site)
    context = Looking(site, probe.name, place, probe.seconds, spread, site.clock())
    try:
        found = probe_kinds()[probe.kind].look(context, probe)
    except (TargetMissing, SettingError) as error:
        return Looked(off=str(error))
    except TendError as error:
        return silent(probe, safe_text(error))
    except Exception as error:
        log.exception("probe failed", probe=probe.name)
        return silent(probe, safe_text(error))
    wanted = [one for one in found.readings if one.check not in probe.ignore]
    return Looked(replace(found, readings=wanted))


def silent(probe: Probe, says: str) -> Looked:
    """Nothing could be asked: what was known before stands, and this is known beside it."""
    reading = Reading(probe.name, ANSWERS, True, says)
    found = [] if ANSWERS in probe.ignore else [reading]
    return Looked(Look(found, is_whole=False))
