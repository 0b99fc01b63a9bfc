"""The indexes that policies need, read from them, and those recommended to the application."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from policies.models import Policy, RecordOptions
from policies.selectors import NoneOf, Selector, field_of, leaves, parent_of
from worker.registry import job_of
from worker.targets.kinds import kind_of
from worker.targets.sql_explain import alternatives

_KEY = "_id"


@dataclass(frozen=True)
class Wanted:
    """One index of a target, and who wants it why."""

    collection: str
    fields: tuple[str, ...]
    needed_by: tuple[str, ...] = ()
    """Policies that refuse to plan without it."""
    because: str | None = None
    """Why it is recommended, needed or not."""
    target: str = "mongo"
    unique: bool = False
    """No two records that have the fields may agree in them."""

    @property
    def short(self) -> str:
        """Its name where there is only one target that has it."""
        return f"{self.collection}.{','.join(self.fields)}"

    @property
    def name(self) -> str:
        return f"{self.target}/{self.short}"


_SYNCED = "a sync looks a product up by its store and that store's own id, and writes it once"
RECOMMENDED = (
    Wanted("users", ("email",), because="a login looks its user up by it"),
    Wanted("sessions", ("sessionId",), because="each request looks its session up by it"),
    Wanted("sessions", ("userId",), because="a user's sessions are ended together"),
    Wanted("oauthstates", ("state",), because="an OAuth callback looks its state up by it"),
    Wanted("salesData", ("userId", "date"), because="reports read a user's sales of some days"),
    Wanted("salesData", ("storeId",), because="a store's sales are read, and imported, together"),
    Wanted("forecasts", ("userId",), because="a user's forecasts are read together"),
    Wanted("forecasts", ("storeId",), because="a store's forecasts are read together"),
    Wanted("loginevents", ("timestamp",), because="failed logins are counted over some minutes"),
    Wanted("ipblacklists", ("ipAddress",), because="a login asks whether its address is blocked"),
    Wanted("products", ("storeId", "externalId"), because=_SYNCED, unique=True),
    Wanted("products", ("store_id", "external_id"), because=_SYNCED, target="sql", unique=True),
)
"""By the fields that the applications' own requests ask by; see docs/looking.md."""


def wanted(policies: Iterable[Policy], targets: Container[str]) -> list[Wanted]:
    """What the policies on these targets need, then what else is recommended; each index once."""
    found: dict[str, Wanted] = {}
    for policy in policies:
        for each in needs(policy) if kind_of(policy) in targets else ():
            known = found.get(each.name, each)
            found[each.name] = replace(known, needed_by=(*known.needed_by, policy.name))
    for each in (each for each in RECOMMENDED if each.target in targets):
        known = found.get(each.name, each)
        found[each.name] = replace(known, because=each.because, unique=each.unique)
    return sorted(found.values(), key=lambda each: (not each.needed_by, each.name))


def needs(policy: Policy) -> Iterator[Wanted]:
    """The indexes that `tend doctor` asks for before the policy may plan."""
    options = cast(RecordOptions, policy.options)
    collection, target = options.collection, options.target
    job = job_of(policy)
    selector = job.selector(policy)
    parent = parent_of(selector)
    if parent is None:
        # What a record is not, no index finds: every record is walked by its key.
        parts = [part for part in alternatives(selector) if not isinstance(part, NoneOf)]
        fields = dict.fromkeys(map(_first_field, parts))
        pairs = [(collection, field) for field in fields]
    else:
        pairs = [(collection, parent.field), (parent.parent, parent.key)]
    for name, field in pairs:
        if field != _KEY:
            yield Wanted(name, (field,), target=target)
    relations = job.relations(policy)
    dated = {(one.collection, one.key) for one in relations if one.dated}
    for one in relations:
        if one.dated is not None:
            yield Wanted(one.collection, (one.key, one.dated), target=target)
        elif (one.collection, one.key) not in dated:
            yield Wanted(one.collection, (one.key,), target=target)


def _first_field(selector: Selector) -> str:
    return field_of(next(iter(leaves(selector))))
