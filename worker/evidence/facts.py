"""What the entries of a period add up to: the same figures for bundles and for reports."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

EXCEPTIONS = {
    "missed_fires": ("run_skipped",),
    "refusals": ("run_refused",),
    "overrides": ("override_requested",),
    "failures": ("run_failed",),
    "undos": ("undo_requested",),
    "cancellations": ("cancel_requested",),
    "brakes": ("brake_pulled", "brake_released"),
    "paused_schedules": ("schedule_paused",),
    "values_shown": ("records_revealed",),
    "keys_destroyed": ("subject_key_destroyed",),
}
"""What a reviewer asks about first, by the actions that tell of it."""

DECISIONS = {
    "approvals": ("approve_requested", "reject_requested"),
    "policies": ("policy_enabled", "policy_disabled"),
    "tokens": ("token_created", "token_revoked"),
    "holds": ("hold_added", "hold_released"),
}
"""What people decided, by the actions that tell of it."""

KIND_OF = {
    action: kind for kinds in (EXCEPTIONS, DECISIONS) for kind in kinds for action in kinds[kind]
}
LISTED = 200
"""Exceptions of a kind that are kept; of the others there is the number."""
_SERVICES = "tend-"


@dataclass
class Facts:
    """Counts, and the entries that a person wants to read one by one."""

    entries: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    """By state, how many runs came to it; a run may come to several."""
    records: dict[str, Counter[str]] = field(default_factory=dict)
    """By target and collection, how many records became what, as the manifests list them."""
    by_day: dict[str, Counter[str]] = field(default_factory=dict)
    """By UTC day, how many records were deleted, written, quarantined or restored."""
    days_of_ends: dict[str, Counter[str]] = field(default_factory=dict)
    """By UTC day, how many runs succeeded, failed, were refused, and so on."""
    actors: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """By name of a person and proof of it, what they did; Tend itself is not among them."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """By policy, each version that ran or was enabled, and when it was first met."""
    number: Counter[str] = field(default_factory=Counter)
    """By kind of exception and decision, how many there are."""
    listed: dict[str, list[Document]] = field(default_factory=dict)
    """By kind, its entries: every decision, and as many exceptions as `listing` allows."""
    listing: int | None = None

    def take(self, body: Document) -> None:
        """Add one entry."""
        action, detail = body["action"], body["detail"]
        self.entries += 1
        self.actions[action] += 1
        if not body["actor"].startswith(_SERVICES):
            did = self.actors.setdefault((body["actor"], body["actor_proof"]), Counter())
            did[action] += 1
        version = version_of(body)
        if version is not None and body["policy"] is not None:
            self.versions.setdefault(body["policy"], {}).setdefault(version, body["at"])
        if action == "chunk_manifest":
            self._count(body["at"][:10], detail["counts"])
        if action in _ENDS:
            self.ended[_ENDS[action]] += 1
            self.days_of_ends.setdefault(body["at"][:10], Counter())[_ENDS[action]] += 1
        if action in KIND_OF:
            self._list(KIND_OF[action], body)

    def _list(self, kind: str, body: Document) -> None:
        self.number[kind] += 1
        is_bounded = self.listing is not None and kind in EXCEPTIONS
        if not is_bounded or self.number[kind] <= (self.listing or 0):
            self.listed.setdefault(kind, []).append(event(body))

    def _count(self, day: str, counts: dict[str, dict[str, int]]) -> None:
        for place, became in counts.items():
            self.records.setdefault(place, Counter()).update(became)
            self.by_day.setdefault(day, Counter()).update(became)

    @property
    def claimed(self) -> dict[str, int]:
        """How many entries each person has whose identity nothing but their word stands for."""
        return {
            name: sum(did.values())
            for (name, proof), did in sorted(self.actors.items())
            if proof == "claimed"
        }

    def of(self, kind: str) -> list[Document]:
        return self.listed.get(kind, [])


_ENDS = {
    f"run_{state}": state
    for state in ("succeeded", "failed", "refused", "rejected", "expired", "cancelled", "undone")
}


def gathered(bodies: Iterable[Document]) -> Facts:
    facts = Facts()
    for body in bodies:
        facts.take(body)
    return facts


def version_of(body: Document) -> str | None:
    """The version of the policy that an entry speaks of."""
    found: str | None = body["policy_version"] or body["detail"].get("policy_version")
    return found


def event(body: Document) -> Document:
    """An entry as a reader of a list wants it: when, what, on which run, who, and why."""
    return {
        "at": body["at"],
        "action": body["action"],
        "run": None if body["run"] is None else f"r-{body['run']}",
        "policy": body["policy"],
        "policy_version": version_of(body),
        "actor": body["actor"],
        "actor_proof": body["actor_proof"],
        "on_behalf_of": body["on_behalf_of"],
        "detail": body["detail"],
    }
