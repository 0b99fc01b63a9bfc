"""Tend's own data as a target of policies: what may ever go, and what goes with it.

The control database is a SQL target like any other. Whatever a policy selects there, these
conditions stand beside it, so that no policy can take what Tend still needs.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from policies.models import Policy, RecordOptions
from policies.selectors import AllOf, Selector
from worker import identity
from worker.audit import entries
from worker.states import BUSY, State
from worker.tables import Run, Table
from worker.targets.quarantine import Origin
from worker.targets.sql_server import Transaction

TARGET = "control"
SLOTS_KEPT = timedelta(days=30)
"""A slot whose row is gone could fire again if a clock or a schedule were set back behind it."""
OVER = frozenset(State) - BUSY - {State.PLANNED, State.AWAITING_APPROVAL}

BELONGING = tuple(
    key.parent
    for table in Table.metadata.sorted_tables
    for key in table.foreign_keys
    if key.target_fullname == "runs.id"
)
"""The columns that name a run whose row theirs belongs to: chunks, rings and the like."""

_SELECTOR: TypeAdapter[Selector] = TypeAdapter(Selector)
MAY_GO: Mapping[str, Selector] = MappingProxyType(
    {
        # While there is a key, there is something to take back, or to apply.
        "runs": _SELECTOR.validate_python(
            {
                "all": [
                    {"older_than": {"field": "created_at", "age": f"{SLOTS_KEPT.days}d"}},
                    {"missing": {"field": "key"}},
                    {
                        "any": [
                            {"equals": {"field": "state", "value": str(s)}} for s in sorted(OVER)
                        ]
                    },
                ]
            }
        ),
        # The reconciler rings again for whatever is unfinished.
        "doorbells": _SELECTOR.validate_python({"older_than": {"field": "due_at", "age": "1d"}}),
        # Of one that stands, or whose end was not told, the field is empty.
        "alerts": _SELECTOR.validate_python({"older_than": {"field": "settled_at", "age": "30d"}}),
        # A cause whose row is gone could be told again.
        "notices": _SELECTOR.validate_python(
            {
                "any": [
                    {"older_than": {"field": "sent_at", "age": "30d"}},
                    {"older_than": {"field": "given_up_at", "age": "30d"}},
                ]
            }
        ),
    }
)


def within(policy: Policy, selector: Selector) -> Selector:
    """The selector, and for a policy on Tend's own data what may go at all."""
    options = policy.options
    if not isinstance(options, RecordOptions) or options.target != TARGET:
        return selector
    return AllOf(all=(selector, MAY_GO[options.collection]))


def is_own_data(run: Run) -> bool:
    """Whether the run's records are Tend's own."""
    return run.collection is not None and run.collection.startswith(f"{TARGET}/")


def take_along(
    transaction: Transaction, collection: str, keys: Sequence[Any], origin: Origin | None
) -> None:
    """In the transaction that removes runs: what belongs to them, and an entry for each run."""
    if collection != Run.__tablename__:
        return
    if origin is None:
        raise AssertionError("runs are removed by a run")
    with Session(transaction.connection) as session:
        for run in session.scalars(select(Run).where(Run.id.in_(keys)).order_by(Run.id)):
            detail = {"by": origin.run, "policy": origin.policy}
            entries.append(
                session, "run_removed", identity.service("worker"), run=run, detail=detail
            )
        for run_id in BELONGING:
            session.execute(delete(run_id.table).where(run_id.in_(keys)))
        session.commit()  # the transaction around it is the batch's, and commits later
