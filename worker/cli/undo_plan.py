"""`tend undo RUN --plan`: what an undo would do now, asked through handles that cannot write."""

from collections import Counter
from typing import Any

from rich.console import Console

from worker import bootstrap, claims, operations, present, undoing
from worker import runs as store
from worker.archive import ArchiveStore
from worker.cli import context
from worker.cli.output import facts, heading, moment, number
from worker.cli.runs import show_records
from worker.database import Database
from worker.engine import Engine
from worker.keys import Keyring
from worker.masking import mask
from worker.picking import Selection, pick
from worker.settings import Settings
from worker.tables import Run

Document = dict[str, Any]


def selected(
    settings: Settings, database: Database, run_id: int, texts: list[str] | None
) -> Selection | None:
    """The records that `--only` names, found before anything is on record."""
    if not texts:
        return None
    with database.transaction() as session:
        operations.may_undo(store.get(session, run_id), "undo --only")
    archive = ArchiveStore(settings.need("archive_url"))
    return pick(database, archive, Keyring.from_settings(settings), run_id, texts)


def document(
    settings: Settings, database: Database, run_id: int, texts: list[str] | None, limit: int | None
) -> Document:
    """The preview; `limit` is how many conflicts are listed."""
    with database.transaction() as session:
        run = store.get(session, run_id)
        operations.may_undo(run, "undo --only" if texts else "undo")
        back, changed = (
            claims.totals(session, run_id, way).changed + claims.children(session, run_id, way)
            for way in ("undo", "apply")
        )
    outcomes: Counter[str | None] = Counter()
    cascade: Counter[str] = Counter()
    conflicts: list[Document] = []
    if run.key is not None:
        only = selected(settings, database, run_id, texts)
        context.need_target(settings)
        engine = bootstrap.open_engine(settings, database)
        try:
            _judge(engine, run, only, outcomes, cascade, conflicts, limit)
        finally:
            engine.close()
    restores = outcomes.pop(None, 0)
    return {
        "id": f"r-{run.id}",
        "policy": run.policy,
        "state": str(run.state),
        "environment": run.environment,
        "restores": restores,
        "cascade": dict(cascade),
        "conflicts": outcomes.total(),
        "codes": dict(sorted((str(code), count) for code, count in outcomes.items())),
        "back_already": back,
        "expired": changed - back if run.key is None else 0,
        "until": present.time_as_json(run.expires_at) if run.key is not None else None,
        "conflict_records": conflicts,
    }


def _judge(
    engine: Engine,
    run: Run,
    only: Selection | None,
    outcomes: Counter[str | None],
    cascade: Counter[str],
    conflicts: list[Document],
    limit: int | None,
) -> None:
    for record in undoing.preview(engine, run, only.picked if only is not None else ()):
        if record.code is None and record.collection is not None:
            cascade[record.collection] += 1
        else:
            outcomes[record.code] += 1
        if record.code is not None and (limit is None or len(conflicts) < limit):
            conflicts.append({"key": mask("_id", record.key), "code": record.code})


def show(out: Console, plan: Document) -> None:
    heading(out, plan["environment"], f"{plan['id']} of {plan['policy']}: what an undo would do")
    facts(
        out,
        [
            ("would return", number(plan["restores"])),
            ("with them", present.cascade_in_words(plan["cascade"])),
            ("in conflict, would stay", number(plan["conflicts"])),
            *((f"  {code}", number(count)) for code, count in plan["codes"].items()),
            ("back already", number(plan["back_already"] or None)),
            ("expired, cannot return", number(plan["expired"] or None)),
            ("can be undone until", moment(plan["until"])),
        ],
    )
    show_records(out, "in conflict", plan["conflict_records"], plan["conflicts"])
