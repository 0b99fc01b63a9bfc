"""What is wrong with the demonstration's data: each kind, its share, what should become of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of record: its share of its collection, and what should become of it."""

    name: str
    share: float
    what: str


# A sales row of no kind is in order; in the other collections the shares add up to one.
KINDS: Mapping[str, tuple[Kind, ...]] = {
    "salesData": (
        Kind("negative_quantity", 0.010, "quantity below zero, revenue not: becomes 0"),
        Kind("negative_revenue", 0.010, "revenue below zero, quantity not: becomes 0"),
        Kind("refunds", 0.005, 'both below zero, marked type "return": stays'),
        Kind("negative_both", 0.002, "both below zero, unmarked: a warning, both become 0"),
        Kind("text_dates", 0.015, "date as text, with or without a time: becomes a date"),
        Kind("unreadable_dates", 0.001, "date as text that is no date: stays, and is listed"),
    ),
    "sessions": (
        Kind("sessions_expired", 0.50, "active, but past expiresAt: goes"),
        Kind("sessions_inactive", 0.10, "not past expiresAt, but inactive: goes"),
        Kind("sessions_alive", 0.40, "active, and expires in an hour or later: stays"),
    ),
    "oauthstates": (
        Kind("oauth_states_old", 0.80, "older than 10 minutes: goes"),
        Kind("oauth_states_fresh", 0.20, "at most 3 minutes old: stays"),
    ),
    "auditlogs": (
        Kind("audit_logs_old", 0.25, "older than 7 calendar years: goes"),
        Kind("audit_logs_leap", 0.05, "older than 7 x 365 days, but not than 7 years: stays"),
        Kind("audit_logs_young", 0.70, "younger: stays"),
    ),
    "forecasts": (
        Kind("forecasts_sound", 0.75, "of a household: stays"),
        Kind("forecasts_closed", 0.10, "of an account whose grace is over: goes with it"),
        Kind("forecasts_orphaned", 0.10, "of an account that does not exist: goes"),
        Kind("forecasts_fresh", 0.05, "the same, but not an hour old: stays for now"),
    ),
    "users": (  # beside the households
        Kind("accounts_closed", 0.80, "deleted over 30 days ago: goes, after its forecasts"),
        Kind("accounts_in_grace", 0.20, "deleted less than 30 days ago: stays"),
    ),
}


@dataclass(frozen=True)
class Count:
    """How many sales rows: in all, and of them the ones younger than 2,555 days at `now`."""

    total: int
    young: int


@dataclass(frozen=True)
class Damage:
    """How many records of each of the `KINDS` there are; no record is of two kinds."""

    sales: Count
    negative_quantity: Count
    negative_revenue: Count
    refunds: Count
    negative_both: Count
    text_dates: Count
    unreadable_dates: Count
    sessions_expired: int
    sessions_inactive: int
    sessions_alive: int
    oauth_states_old: int
    oauth_states_fresh: int
    audit_logs_old: int
    audit_logs_leap: int
    audit_logs_young: int
    forecasts_sound: int
    forecasts_closed: int
    forecasts_orphaned: int
    forecasts_fresh: int
    accounts_closed: int
    accounts_in_grace: int


def share_out(collection: str, size: int) -> Counter[str]:
    """How many records of each kind a collection of this size gets."""
    return Counter({kind.name: round(kind.share * size) for kind in KINDS[collection]})
