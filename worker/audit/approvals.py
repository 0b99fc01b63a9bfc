"""One run's approval as its entries tell it: nobody is their own second person."""

import json
from collections.abc import Iterator

from worker.audit.body import Body
from worker.states import State
from worker.tables import Run


class Approvals:
    """Takes a run's entries in order, and knows who asked for it and who has approved it."""

    def __init__(self, run: Run) -> None:
        self._is_required = json.loads(run.policy_text).get("approval") == "required"
        self._askers: set[str] = set()
        self._is_approved = False

    def take(self, body: Body) -> Iterator[str]:
        """Note what an entry says; yields what is off with it where it stands."""
        start = body.detail.get("from")
        match body.action:
            case "run_created" if body.trigger == "manual":
                self._askers.add(body.actor)
            case "apply_requested" | "override_requested":
                self._askers.add(body.actor)
            case "approve_requested":
                self._is_approved = True
                if body.actor in self._askers:
                    yield "approves what the same person asked for"
            case "run_applying" if start == State.AWAITING_APPROVAL and not self._is_approved:
                yield "lets a plan go on that waited for approval and had none"
            case "run_applying" if start == State.PLANNED and self._is_required:
                yield "lets a plan go on whose policy asks for approval"
