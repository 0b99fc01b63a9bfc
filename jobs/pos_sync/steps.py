"""The text for the shop: what is wrong in plain words, and what somebody there has to do."""

from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.failures import CLASSES, Kind
from jobs.pos_sync.tables import PosStore


def steps_for(row: PosStore) -> str:
    """By the provider, naming the scope or the secret that is missing."""
    connector = CONNECTORS[row.provider]
    lines = [f"{row.name}: the connection to {connector.called} needs your help.", ""]
    if row.error is not None:
        detail = f": {row.detail}" if row.detail else ""
        lines += [f"What is wrong: {CLASSES[Kind(row.error)].says}{detail}.", ""]
    if row.dies_at is not None:
        lines += [f"The present authorisation ends on {row.dies_at:%Y-%m-%d}.", ""]
    return "\n".join([*lines, connector.steps, "", "Tell us when it is done: we check at once."])
