"""The brake as `tend brake` prints it with `--json`: what is pulled, what stops, what goes on."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.models import Policy
from worker import braking, stops
from worker.audit.entries import stamp
from worker.brake import EVERY_POLICY
from worker.braking import Affected
from worker.claims import WORKING
from worker.database import Database
from worker.documents.runs import Say
from worker.errors import UnknownPolicy
from worker.logs import safe_text
from worker.operations import Person
from worker.registry import Policies
from worker.standstill import await_batches

Document = dict[str, Any]
Loads = Callable[[], Policies]


def pull(
    database: Database,
    policies: Loads,
    policy: str | None,
    person: Person,
    *,
    everything: bool,
    say: Say,
) -> Document:
    """Pull it; returns when the batches at work have ended."""
    if policy is not None:
        _must_exist(database, policies, policy, say)
    braking.pull(database, policy, person, everything=everything)
    await_batches(database, _is_at_work)
    return shown(database, policies, say)


def shown(database: Database, policies: Loads, say: Say) -> Document:
    known = _known(policies, say)
    with database.transaction() as session:
        return _document(session, known)


def pulled_as_json(session: Session) -> list[Document]:
    """Every brake that is pulled, by whom and why."""
    return [
        {
            "policy": None if each.policy == EVERY_POLICY else each.policy,
            "everything": each.everything,
            "actor": each.actor,
            "reason": each.reason,
            "since": stamp(each.at),
        }
        for each in braking.pulled(session)
    ]


def _must_exist(database: Database, policies: Loads, policy: str, say: Say) -> None:
    """A mistyped name must not look like a brake; one whose file is gone may still have runs."""
    with database.transaction() as session:
        if any(each.policy == policy for each in braking.affected(session)):
            return
    try:
        policies().get(policy)
    except UnknownPolicy:
        raise
    except TendError as error:  # files that cannot be read must not keep anybody from braking
        say(f"Whether there is a policy {policy} is not known: {safe_text(error)}")


def _is_at_work(session: Session) -> bool:
    return any(each.is_stopped and each.is_at_work for each in braking.affected(session))


def _known(policies: Loads, say: Say) -> list[Policy]:
    """Those of the files; files that cannot be read must not keep anybody from braking."""
    try:
        return [each.policy for each in policies()]
    except TendError as error:
        say(f"Which policies stop is not known: {safe_text(error)}")
        return []


def _document(session: Session, policies: list[Policy]) -> Document:
    runs = braking.affected(session)
    stopped = {each.name for each in policies if stops.standing(session, each) is not None}
    return {
        "brakes": pulled_as_json(session),
        "policies": {
            "stopped": sorted(stopped),
            "goes_on": sorted({each.name for each in policies} - stopped),
        },
        "runs": {
            "stopped": [_as_json(each) for each in runs if each.is_stopped],
            "goes_on": [_as_json(each) for each in runs if not each.is_stopped],
        },
    }


def _as_json(run: Affected) -> Document:
    return {
        "id": f"r-{run.run_id}",
        "policy": run.policy,
        "state": str(run.state),
        "at_work": run.is_at_work,
        "why": _why(run),
    }


def _why(run: Affected) -> str | None:
    """Why a run is not stopped, or not yet."""
    if run.is_stopped:
        return "a batch that had begun is still at work" if run.is_at_work else None
    if run.state not in WORKING.values():
        return "it changes nothing now"
    return "a security job" if run.is_security else None
