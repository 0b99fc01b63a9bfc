"""Decisions in sentences, for those who are told and for those who ask."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def sentence(fields: Mapping[str, Any]) -> str:
    """What was decided about whom, and on what grounds."""
    tries = (
        f"{fields['attempts']} failed logins between {clock(fields['since'])} and "
        f"{clock(fields['at'])}"
    )
    said = {
        "user": fields["userName"] or "nobody by name",
        "address": fields["ipAddress"],
        "count": fields["attempts"],
        "victims": len(fields["users"]),
        "until": clock(fields["until"]),
        "tries": tries,
    }
    why = str(fields["why"])
    if why.startswith("not_blocked_"):
        reason = _NOT_BLOCKED[why.removeprefix("not_blocked_")]
        return f"{said['address']} is not blocked, for {reason}: {tries}."
    return _SENTENCES[fields["kind"], why].format(**said)


_SENTENCES = {
    ("lock", "failures"): "Locked {user} until {until}: {tries} from {address}.",
    ("block", "failures"): "Blocked {address} until {until}: {tries} as {user}.",
    ("block", "spraying"): "Blocked {address} until {until}: it failed as {count} users.",
    ("block", "attack_on_accounts"): (
        "Blocked {address} until {until}: it gets one account after another locked."
    ),
    ("alert", "success_after_failures"): (
        "LOGIN AFTER FAILURES: {user} logged in from {address} after {tries}."
    ),
    ("alert", "distributed"): (
        "{user} is tried from {count} addresses, the latest {address}: not locked, but watched "
        "until {until}."
    ),
    ("alert", "break_glass"): (
        "{user} is an account for emergencies and was not locked: {tries} from {address}."
    ),
    ("alert", "attack_on_accounts"): (
        "{address} gets accounts locked: {victims} of them are released."
    ),
    ("alert", "lock_withheld"): (
        "NOT locked, for there were too many locks in this hour: {user}, {tries} from {address}. "
        "A person decides, with `tend lockout lock`."
    ),
    ("lock", "by_hand"): "Locked {user} until {until}, by hand.",
    ("block", "by_hand"): "Blocked {address} until {until}, by hand.",
}
_NOT_BLOCKED = {
    "private": "it is a private address",
    "trusted": "the policy trusts it",
    "allowed": "a person allowed it",
    "shared": "many users logged in from it lately; is it a proxy?",
}


def clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
