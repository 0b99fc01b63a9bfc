"""Addresses that many users share: whether one is a proxy, only a person can say."""

from collections.abc import Iterator

from jobs.login_lockout.addresses import is_inside, is_private, key_of, network_of
from jobs.login_lockout.events import user_key
from jobs.login_lockout.options import CollectionSource, LockoutOptions
from jobs.task import CheckContext

MOST = 100_000
"""So many of the latest logins are looked at."""


def questions(ctx: CheckContext, options: LockoutOptions) -> Iterator[str]:
    """One for each address that is not blocked for its many users, and that nobody vouched for."""
    trusted = [network_of(text) for text in options.never_block]
    for address, users in _crowded(ctx, options).items():
        if users < options.shared.users or is_private(address) or is_inside(address, trusted):
            continue
        yield (
            f"{users} users logged in from {address} within {options.shared.within}: is it a proxy "
            "or an office? Then name it in never_block; until then it is told of, not blocked."
        )


def _crowded(ctx: CheckContext, options: LockoutOptions) -> dict[str, int]:
    users: dict[str, set[str]] = {}
    for source in options.sources:
        if not isinstance(source, CollectionSource):
            continue
        where = {
            source.at: {"$gte": ctx.as_of - options.shared.within.delta, "$lte": ctx.as_of},
            source.outcome: {"$in": list(source.succeeded)},
        }
        fields = [source.address, *source.users]
        latest = f"-{source.at}"
        for record in ctx.documents.find(
            source.collection, where, fields, order=latest, limit=MOST
        ):
            name = next((record[field] for field in source.users if record.get(field)), None)
            address, user = key_of(str(record.get(source.address))), user_key(str(name))
            if address is not None and user is not None:
                users.setdefault(address, set()).add(user)
    return {address: len(found) for address, found in sorted(users.items())}
