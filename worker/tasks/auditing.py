"""The audit log as a task has it: how fresh its verification is, and verifying it."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select

from jobs.task import Verdict
from worker import database
from worker.audit.verify import remember, verify
from worker.engine import Engine
from worker.tables import Verification


@dataclass(frozen=True)
class OwnLog:
    """This installation's log, with its key and its anchors."""

    engine: Engine

    def verified_ago(self) -> timedelta | None:
        whole = select(func.max(Verification.at)).where(
            Verification.full, Verification.integrity == 0, Verification.completeness == 0
        )
        with self.engine.database.transaction() as session:
            last = session.scalar(whole)
            return None if last is None else database.now(session) - last

    def verify(self) -> Verdict:
        engine = self.engine
        report = verify(engine.database, engine.signer, engine.anchors, full=True)
        remember(engine.database, report, engine.keyring)
        return Verdict(report.positions, report.integrity, report.completeness)
