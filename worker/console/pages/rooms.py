"""Which pages there are; a new one is added here."""

from worker.console.pages import (
    alerts,
    audit,
    brake,
    changing,
    holds,
    login,
    overview,
    policies,
    probes,
    records,
    repair,
    run,
    runs,
    undo,
)

ROUTERS = tuple(
    page.router
    for page in (
        *(login, overview, runs, run, changing, undo, records, repair),
        *(policies, brake, holds, alerts, audit, probes),
    )
)
