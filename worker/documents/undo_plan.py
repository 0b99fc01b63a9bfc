"""What an undo would do now, asked through handles that cannot write."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from worker import claims, operations, present, runs, undoing
from worker.archive import ArchiveStore
from worker.database import Database
from worker.engine import Engine
from worker.keys import Keyring
from worker.masking import mask
from worker.picking import Selection, pick
from worker.settings import Settings
from worker.tables import Run

Document = dict[str, Any]
Opens = Callable[[], AbstractContextManager[Engine]]


def selected(
    settings: Settings, database: Database, run_id: int, texts: list[str] | None
) -> Selection | None:
    """The records that `--only` names, found before anything is on record."""
    if not texts:
        return None
    with database.transaction() as session:
        operations.may_undo(runs.get(session, run_id), "undo --only")
    archive = ArchiveStore(settings.need("archive_url"))
    return pick(database, archive, Keyring.from_settings(settings), run_id, texts)


def document(
    settings: Settings,
    database: Database,
    run_id: int,
    texts: list[str] | None,
    limit: int | None,
    opens: Opens,
) -> Document:
    """The preview; `limit` is how many conflicts are listed, `opens` reaches the target."""
    with database.transaction() as session:
        run = runs.get(session, run_id)
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
        with opens() as engine:
            _judge(engine, run, only, outcomes, cascade, conflicts, limit)
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
