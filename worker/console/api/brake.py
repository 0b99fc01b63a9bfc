"""`/api/v1/brake`: stop all change, or one policy's, and let it go on again."""

import structlog
from fastapi import APIRouter

from worker import braking, by_hand
from worker.console.api.bodies import BrakePull, Document
from worker.console.asking import Here, allowed
from worker.documents import brake as documents
from worker.identity import Actor

router = APIRouter(prefix="/brake", tags=["brake"])
log = structlog.get_logger()


@router.get("")
def brake_show(here: Here, _: Actor = allowed("brake show")) -> Document:
    """Which brakes are pulled, by whom and why, what stops and what goes on."""
    return documents.shown(here.database, here.policies, log.warning)


@router.post("/pull")
def brake_pull(here: Here, body: BrakePull, actor: Actor = allowed("brake pull")) -> Document:
    """Stop all change at the next batch; answers when the batches at work have ended."""
    return documents.pull(
        here.database,
        here.policies,
        body.policy,
        body.by(actor),
        everything=body.everything,
        say=log.warning,
    )


@router.post("/release")
def brake_release(here: Here, body: BrakePull, actor: Actor = allowed("brake release")) -> Document:
    """Let go on what a brake stopped."""
    braking.release(here.database, body.policy, body.by(actor), everything=body.everything)
    if here.settings.redis_url is not None:
        by_hand.ring(here.settings, here.database, log.warning)
    return documents.shown(here.database, here.policies, log.warning)
