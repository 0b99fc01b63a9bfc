"""Whom a person means: a user by id or name, or an address."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from jobs.host import Desk, Host
from jobs.login_lockout.accounts import find_accounts
from jobs.login_lockout.addresses import key_of
from jobs.login_lockout.events import user_key
from jobs.login_lockout.options import LockoutOptions
from jobs.login_lockout.records import subject_digest
from policies.models import Policy


class Named(NamedTuple):
    """A user or an address, as it is counted, and where its rows are."""

    kind: str
    """user or address."""
    key: str
    account: Any
    """The `_id` of the account; None if there is none."""
    digest: str


def named(host: Host, desk: Desk, text: str) -> Named:
    """Raises an error for what can be neither."""
    address = key_of(text.strip())
    if address is not None:
        return Named("address", address, None, _digest(desk, "address", address))
    key = user_key(text)
    if key is None:
        raise host.refuse(f"'{text}' names neither a user nor an address.")
    accounts = find_accounts(desk.context.documents, options_of(host, desk).accounts, [key])
    account = accounts[key].key if key in accounts else None
    key = key if account is None else str(account)
    return Named("user", key, account, _digest(desk, "user", key))


def policies_of(desk: Desk) -> Sequence[Policy]:
    """The site's policies that lock."""
    return [each for each in desk.policies if isinstance(each.options, LockoutOptions)]


def policy_of(host: Host, desk: Desk) -> Policy:
    """The policy that says where accounts and blocks are."""
    found = policies_of(desk)
    if not found:
        raise host.refuse("There is no policy of the job login_lockout on this site.")
    return found[0]


def options_of(host: Host, desk: Desk) -> LockoutOptions:
    return options_in(policy_of(host, desk))


def options_in(policy: Policy) -> LockoutOptions:
    return cast(LockoutOptions, policy.options)


def _digest(desk: Desk, kind: str, key: str) -> str:
    return subject_digest(desk.context.vault, kind, key)
