"""`/api/v1/policies`: what they say, what a change of text does, and whether they change data."""

from fastapi import APIRouter

from worker.console.api.bodies import Change, Document, Line
from worker.console.asking import Here, allowed
from worker.documents import policies as documents
from worker.identity import Actor

router = APIRouter(prefix="/policies", tags=["policies"])


@router.get("")
def policies(here: Here, _: Actor = allowed("policies")) -> Document:
    """Every policy: job, schedule, whether it may change data, next fire, last run."""
    return documents.listed(here.settings, here.database, here.policies())


@router.get("/{policy}")
def policies_show(here: Here, policy: Line, _: Actor = allowed("policies show")) -> Document:
    """A policy as it is in effect, with the file and line that each value came from."""
    loaded = here.policies().get(policy)
    with here.database.transaction() as session:
        summary = documents.summary(here.settings, session, loaded.policy)
    return documents.shown(summary, loaded)


@router.get("/{policy}/diff")
def policies_diff(here: Here, policy: Line, _: Actor = allowed("policies diff")) -> Document:
    """What the text changes since it was enabled, or run, last, and its effect in records."""
    return documents.compared(here.settings, here.database, here.policies().get(policy).policy)


@router.post("/{policy}/enable")
def enable(here: Here, policy: Line, body: Change, actor: Actor = allowed("enable")) -> Document:
    """Let scheduled fires of this very text change data; also resumes a paused schedule."""
    wanted = here.policies().get(policy).policy
    return documents.switched(here.settings, here.database, wanted, body.by(actor), on=True)


@router.post("/{policy}/disable")
def disable(here: Here, policy: Line, body: Change, actor: Actor = allowed("disable")) -> Document:
    """Let scheduled fires only plan and report again."""
    wanted = here.policies().get(policy).policy
    return documents.switched(here.settings, here.database, wanted, body.by(actor), on=False)
