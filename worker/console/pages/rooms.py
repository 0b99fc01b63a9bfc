"""Which pages there are; a new one is added here."""

from worker.console.pages import (
    alerts,
    audit,
    brake,
    changing,
    families,
    holds,
    login,
    overview,
    policies,
    probes,
    provider,
    records,
    repair,
    run,
    runs,
    undo,
)

_OWN = (
    *(login, provider, overview, runs, run, changing, undo, records, repair),
    *(policies, brake, holds, alerts, audit, probes),
)
ROUTERS = (*(page.router for page in _OWN), *families.routers())
