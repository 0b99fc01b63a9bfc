"""What a job's test says of each of its shipped policies, for the contract test to try."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

DUE = 40
Records = list[dict[str, Any]]


class Damage(NamedTuple):
    """`DUE` records that the policy is after, and as many that it must leave alone."""

    due: Records
    sound: Records
    beside: Mapping[str, Records] = MappingProxyType({})
    """What stands in other collections."""
    indexes: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """What else finds them there: an index of several fields, by collection."""
