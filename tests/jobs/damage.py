"""What a job's test says of each of its shipped policies, for the contract test to try."""

from typing import Any

DUE = 40

Damage = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""`DUE` records that the policy is after, and as many that it must leave alone."""
