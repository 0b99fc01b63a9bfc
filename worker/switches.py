"""Whether a policy's schedule may change data, and when it fires next."""

from datetime import datetime

from policies.models import Policy
from worker.slots import next_slot
from worker.tables import Switch


def state_of(policy: Policy, switch: Switch | None) -> str:
    """What a scheduled fire does now: `enabled` changes data, `observing` plans, `paused` none."""
    if switch is not None and switch.schedule_paused:
        return "paused"
    is_enabled = switch is not None and switch.enabled_version == policy.version
    return "enabled" if is_enabled else "observing"


def next_fire(policy: Policy, switch: Switch | None, after: datetime) -> str | None:
    """The next due time after this moment; None if nothing fires, or the schedule is paused."""
    if policy.schedule is None or (switch is not None and switch.schedule_paused):
        return None
    found = next_slot(policy.schedule, after)
    return found.isoformat() if found else None
