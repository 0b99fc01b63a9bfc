"""MongoDB roles, as `createRole` takes them."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from policies.models import Policy
from worker.grants.footprint import footprint
from worker.targets.mongo_fence import COLLECTION

Document = dict[str, Any]
Actions = Mapping[str, frozenset[str]]

TRIAL = "tendTrial"
WORK = "tendWork"
MIRROR = "auditlogs"
MONITOR = {"role": "clusterMonitor", "db": "admin"}
"""A role of an application's database may not hold it, so it is the user who is given it."""

LOOK = frozenset({"find", "collStats", "listIndexes"})
CHANGE = LOOK | {"insert", "update", "remove"}


def to_read(policies: Iterable[Policy]) -> Actions:
    """What planning and looking need, by collection; the preview of an undo asks the fences."""
    found = footprint(policies, "mongo")
    return dict.fromkeys((*found.changed, *found.quarantines, *found.read, COLLECTION), LOOK)


def to_work(policies: Iterable[Policy]) -> Actions:
    """What whole runs need, with their undo, by collection."""
    found = footprint(policies, "mongo")
    needed: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    needed[COLLECTION] |= {"find", "insert", "update", "remove"}
    for name in found.read:
        needed[name] |= LOOK
    for name in found.changed:
        needed[name] |= CHANGE
    for name in (*found.quarantines, *found.made):
        needed[name] |= CHANGE | {"createCollection", "createIndex"}
    needed[MIRROR] |= {"find", "insert", "update"}
    return needed


def roles(policies: Iterable[Policy], database: str) -> list[Document]:
    """Both roles, for the database that TEND_MONGO_URL names."""
    wanted = list(policies)
    return [
        _role(TRIAL, database, to_read(wanted)),
        _role(WORK, database, to_work(wanted)),
    ]


def users(database: str) -> list[Document]:
    """A user for each role; both see how the server is, for probes and for the throttle."""
    return [
        {"user": "tend-reader", "roles": [{"role": TRIAL, "db": database}, MONITOR]},
        {"user": "tend", "roles": [{"role": WORK, "db": database}, MONITOR]},
    ]


def commands(roles: Iterable[Document], users: Iterable[Document]) -> list[str]:
    """What to type in mongosh, in the application's database."""
    return [
        *(f"db.createRole({json.dumps(role, indent=2)})" for role in roles),
        *(f"db.createUser({_asking(user)})" for user in users),
    ]


def _asking(user: Document) -> str:
    """mongosh asks for the password, so that it is on no screen and in no history."""
    name, roles = json.dumps(user["user"]), json.dumps(user["roles"])
    return f"{{user: {name}, pwd: passwordPrompt(), roles: {roles}}}"


def _role(name: str, database: str, needed: Actions) -> Document:
    whole = {"resource": {"db": database, "collection": ""}, "actions": ["listCollections"]}
    privileges = [
        {"resource": {"db": database, "collection": collection}, "actions": sorted(actions)}
        for collection, actions in sorted(needed.items())
    ]
    return {"role": name, "privileges": [whole, *privileges], "roles": []}
