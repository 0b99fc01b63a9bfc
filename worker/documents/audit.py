"""The audit log as `tend audit` prints it with `--json`; and one entry with its proof."""

import zipfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from policies.subjects import load_subjects
from worker import holding, runs
from worker.audit import anchors, checkpoints, keeping, search
from worker.audit import verify as verifying
from worker.audit.findings import Report
from worker.audit.search import Search
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import UnknownEntry, UsageError
from worker.evidence import bundle, export, log, receipts
from worker.evidence.bundle import Wanted
from worker.evidence.sample import Sample
from worker.keys import Keyring
from worker.registry import Policies
from worker.settings import Settings
from worker.tables import Entry

Document = dict[str, Any]


def listed(
    database: Database, policies: Callable[[], Policies], wanted: Search
) -> tuple[list[Entry], int | None]:
    """The newest entries that match, and before which one those before them are.

    An unknown run or policy is an error.
    """
    one_more = wanted.model_copy(update={"limit": wanted.limit + 1})
    with database.transaction() as session:
        found = search.search(session, one_more)
        if not found and wanted.run is not None:
            runs.get(session, wanted.run)
        policy = wanted.policy
        is_known = policy is None or search.search(session, Search(policy=policy, limit=1))
    if not is_known and policy is not None:
        policies().get(policy)
    shown = found[-wanted.limit :]
    return shown, shown[0].id if len(found) > len(shown) else None


def entry(settings: Settings, database: Database, entry_id: int) -> Document:
    """An entry, and what proves that it stands in the signed log; null while nothing does."""
    signer = keeping.signer_of(settings)
    with database.transaction() as session:
        found = session.get(Entry, entry_id)
        if found is None:
            raise UnknownEntry(f"There is no audit entry {entry_id}; `tend audit list` shows them.")
        return {**search.as_json(found), "log": _proof(session, found, signer)}


def _proof(session: Session, found: Entry, signer: Signer | None) -> Document | None:
    last = checkpoints.latest(session)
    proof = None if last is None else log.prove(session, found.id, last.size)
    if proof is None or last is None:
        return None
    keys = [] if signer is None else signer.public_keys(last.origin)
    return {**proof, "checkpoint": last.note, "keys": keys}


def verified(settings: Settings, database: Database, *, full: bool) -> Report:
    """Recompute the log, and put on record that and how it was verified."""
    signer = keeping.signer_of(settings)
    may_alert = settings.keys is not None or settings.env == "development"
    keyring = Keyring.from_settings(settings) if may_alert else None
    report = verifying.verify(database, signer, anchors.from_settings(settings), full=full)
    verifying.remember(database, report, keyring)
    return report


def verdict(report: Report) -> Document:
    return {"ok": not report.faults, "faults": report.faults, **asdict(report)}


def exported(
    settings: Settings, database: Database, wanted: Search, file: Path, *, as_csv: bool
) -> Document:
    """Write the entries and their statement, which is returned."""
    keeping.keep_once(settings, database)
    return export.export(database, Signer.from_settings(settings), wanted, file, as_csv=as_csv)


def packed(
    settings: Settings, database: Database, wanted: Search, folder: Path, *, as_csv: bool
) -> Path:
    """The same as one zip in a folder."""
    file = folder / ("audit.csv" if as_csv else "audit.jsonl")
    exported(settings, database, wanted, file, as_csv=as_csv)
    zipped = folder / "audit-export.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as files:
        for each in (file, export.statement_of(file)):
            files.write(each, each.name)
    return zipped


def bundled(settings: Settings, database: Database, wanted: Wanted, file: Path) -> Document:
    """Write the zip; returns its statement."""
    keeping.keep_once(settings, database)
    statement = bundle.write(database, Signer.from_settings(settings), wanted, file)
    return {"file": str(file), **statement}


def period(
    settings: Settings,
    first: datetime,
    end: datetime,
    policy: str | None,
    sample: int | None,
    seed: str | None,
) -> Wanted:
    """What a bundle is of; a period that has not ended ends now."""
    if (sample is None) != (seed is None):
        raise UsageError("--sample and --seed belong together: the seed draws the sample anew.")
    end = min(end, datetime.now(UTC))
    if first >= end:
        raise UsageError("--from must be before --to, and in the past.")
    drawn = Sample(sample, seed) if sample is not None and seed is not None else None
    return Wanted(settings.env, first, end, policy, drawn)


def receipt(settings: Settings, database: Database, subject: str) -> Document:
    """What became of one subject's records, with proofs."""
    named = holding.parse_subject(subject, load_subjects(settings.policy_directories))
    keyring = Keyring.from_settings(settings)
    keeping.keep_once(settings, database)
    return receipts.receipt(database, keyring, Signer.from_settings(settings), named)
