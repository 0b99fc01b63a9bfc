"""A decision between planning and performing: small, sealed when it is kept, and named once."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jobs.base import Item
from jobs.login_lockout.accounts import Account
from jobs.login_lockout.events import Event
from jobs.login_lockout.records import stamp
from jobs.login_lockout.windows import Decision
from jobs.task import Vault

Document = dict[str, Any]


def name_of(vault: Vault, kind: str, why: str, subject: str, at: datetime) -> str:
    """The same for the same failures, whoever decides, and for whoever has no key meaningless."""
    return vault.digest(json.dumps([kind, why, subject, stamp(at)]).encode())


def item_of(vault: Vault, decision: Decision, accounts: Mapping[str, Account]) -> Item:
    """The item of a plan: what the preview shows, and everything that performing needs."""
    account = accounts.get(decision.user) if decision.user is not None else None
    name = name_of(vault, decision.kind, decision.why, decision.subject, decision.at)
    return Item(
        name,
        {
            "kind": decision.kind,
            "why": decision.why,
            "userName": decision.events[-1].name,
            "ipAddress": decision.events[-1].shown or decision.address,
            "attempts": decision.attempts,
            "at": decision.at,
            "until": decision.until,
            "since": decision.since,
            "accountId": None if account is None else account.key,
            "subjectId": decision.subject,
            "userId": decision.user,
            "address": decision.address,
            "events": [_evidence(event) for event in decision.events],
            "users": list(decision.users),
        },
    )


def evidence_of(fields: Mapping[str, Any]) -> bytes:
    """What is sealed with the decision, and opened for whoever asks why."""
    return json.dumps(
        {
            "subject": fields["subjectId"],
            "user": fields["userName"],
            "key": fields["userId"],
            "address": fields["address"],
            "shown": fields["ipAddress"],
            "account": None if fields["accountId"] is None else str(fields["accountId"]),
            "users": fields["users"],
            "events": fields["events"],
        }
    ).encode()


def _evidence(event: Event) -> Document:
    told = {
        "at": stamp(event.at),
        "user": event.name,
        "address": event.shown or event.address,
        "failed": event.failed,
        "tries": event.tries,
        "source": event.source,
        "place": event.place,
    }
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    return {**told, "sha256": hashlib.sha256(text.encode()).hexdigest()}
