"""From a policy to events in their order: every source is read, and every name given one key."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.login_lockout import collection
from jobs.login_lockout.accounts import Account, find_accounts
from jobs.login_lockout.addresses import Network, is_inside, is_private, network_of
from jobs.login_lockout.events import Event, in_order, user_key
from jobs.login_lockout.marks import Tally, tally
from jobs.login_lockout.options import CollectionSource, LockoutOptions
from jobs.login_lockout.windows import MayBlock, Rules
from jobs.task import Documents


@dataclass(frozen=True)
class Looked:
    """What the sources say of some time."""

    events: Sequence[Event]
    accounts: Mapping[str, Account]
    """By the key of a user."""
    set_aside: Mapping[str, int]
    """Events that say nothing certain, by why."""
    tallies: Sequence[Tally]
    """Of each collection, what was read of it."""


def look(
    documents: Documents,
    options: LockoutOptions,
    begin: datetime,
    end: datetime,
    logged: Sequence[Sequence[Event]] = (),
) -> Looked:
    """Read everything from `begin` to `end`; `logged` is what log files say of it."""
    set_aside: Counter[str] = Counter()
    for source in options.sources:
        if isinstance(source, CollectionSource):
            set_aside["future"] += collection.from_the_future(documents, source, end)
    read, tallies = [], []
    for source in options.sources:
        if isinstance(source, CollectionSource):
            met: list[datetime] = []
            read.append(list(collection.read(documents, source, begin, end, set_aside, met)))
            tallies.append(tally(begin, met))
    sources = [*read, *logged]
    names = {event.user for source in sources for event in source if event.user is not None}
    accounts = find_accounts(documents, options.accounts, names)
    known = {name: str(account.key) for name, account in accounts.items()}
    events = in_order([[_as_account(event, known) for event in source] for source in sources])
    by_key = {str(account.key): account for account in accounts.values()}
    return Looked(events, by_key, set_aside, tallies)


def _as_account(event: Event, known: Mapping[str, str]) -> Event:
    """A user is counted by their account, whether an event has its id or its name."""
    account = known.get(event.user) if event.user is not None else None
    return event if account is None else event._replace(user=account)


def window_of(options: LockoutOptions) -> timedelta:
    """The longest time that any count looks back."""
    return max(
        options.threshold.within.delta,
        options.spraying.within.delta,
        options.distributed.within.delta,
    )


def memory_of(options: LockoutOptions) -> timedelta:
    """How long an earlier decision matters."""
    return max(
        2 * window_of(options),
        options.remember.delta,
        options.attack.within.delta,
        options.block.delta,
        timedelta(hours=1),
    )


def rules_of(
    options: LockoutOptions,
    may_block: MayBlock,
    break_glass: frozenset[str],
    not_before: datetime | None = None,
) -> Rules:
    return Rules(
        failures=options.threshold.failures,
        within=options.threshold.within.delta,
        ladder=[step.delta for step in options.ladder],
        remember=options.remember.delta,
        block=options.block.delta,
        spray_users=options.spraying.users,
        spray_within=options.spraying.within.delta,
        wide_addresses=options.distributed.addresses,
        wide_within=options.distributed.within.delta,
        wide_quiet=options.distributed.step_up.delta or options.distributed.within.delta,
        victims=options.attack.victims,
        victims_within=options.attack.within.delta,
        break_glass=break_glass,
        may_block=may_block,
        not_before=not_before,
    )


def break_glass_of(documents: Documents, options: LockoutOptions) -> frozenset[str]:
    """The keys under which these accounts are counted."""
    names = {key for name in options.break_glass if (key := user_key(name)) is not None}
    accounts = find_accounts(documents, options.accounts, names) if names else {}
    return frozenset(names | {str(account.key) for account in accounts.values()})


def objections(
    documents: Documents,
    options: LockoutOptions,
    allowed: Sequence[tuple[Network, datetime]],
    logged_in: Callable[[str, datetime], int],
) -> MayBlock:
    """Who is never blocked: `private`, `trusted`, `allowed`, or `shared` by many users.

    `logged_in` says how many users log files know to have come from an address.
    """
    trusted = [network_of(text) for text in options.never_block]
    shared: dict[str, bool] = {}

    def may_block(address: str, at: datetime) -> str | None:
        if is_private(address):
            return "private"
        if is_inside(address, trusted):
            return "trusted"
        if any(at < end and is_inside(address, [net]) for net, end in allowed):
            return "allowed"
        if address not in shared:
            users = _users_from(documents, options, address, at) + logged_in(address, at)
            shared[address] = users >= options.shared.users
        return "shared" if shared[address] else None

    return may_block


def _users_from(documents: Documents, options: LockoutOptions, address: str, at: datetime) -> int:
    """How many distinct users logged in from the address lately."""
    users: set[str] = set()
    for source in options.sources:
        if not isinstance(source, CollectionSource):
            continue
        begin = at - options.shared.within.delta
        where = {
            source.address: _spelled(address),
            source.outcome: {"$in": list(source.succeeded)},
            source.at: {"$gte": begin, "$lte": at},
        }
        for record in documents.find(source.collection, where, list(source.users)):
            name = next((record[field] for field in source.users if record.get(field)), None)
            users.add(str(name))
            if len(users) >= options.shared.users:
                return len(users)
    return len(users)


def _spelled(address: str) -> object:
    """A filter for the address however it is written; a /64 by the digits it begins with."""
    network = network_of(address)
    if network.prefixlen == network.max_prefixlen:
        return {"$in": [address, f"::ffff:{address}"]}
    first = network.network_address.exploded.split(":")[:4]
    start = ":".join(group.lstrip("0") or "0" for group in first)
    return {"$gte": start + ":", "$lt": start + ";"}
