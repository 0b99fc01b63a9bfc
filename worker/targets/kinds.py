"""The kinds of target, the settings that each is opened from, and opening them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import structlog
from pydantic import SecretStr

from policies.models import Policy, RecordOptions, TaskOptions
from worker.errors import SettingError
from worker.own_data import TARGET, take_along
from worker.settings import Settings, example, not_set
from worker.targets.base import Target
from worker.targets.mongo import MongoTarget
from worker.targets.sql import SqlTarget

log = structlog.get_logger()


@dataclass(frozen=True)
class TargetKind:
    """What a policy calls one kind of database, and where its URLs are set."""

    url: Literal["mongo_url", "sql_url", "database_url"]
    read_url: Literal["mongo_read_url", "sql_read_url", "database_url"]
    connect: Callable[[str, str | None], Target]

    def is_set(self, settings: Settings) -> bool:
        return getattr(settings, self.url) is not None

    def open(self, settings: Settings) -> Target:
        """Raises `SettingError` when its URL is not set."""
        read_url = getattr(settings, self.read_url)
        return self.connect(
            settings.need(self.url), read_url.get_secret_value() if read_url else None
        )

    def open_to_look(self, settings: Settings) -> Target:
        """For questions alone: everything goes by the user who cannot write, if there is one."""
        return self.connect(self.url_to_look(settings), None)

    def url_to_look(self, settings: Settings) -> str:
        """Of the user who cannot write, if there is one."""
        read_url: SecretStr | None = getattr(settings, self.read_url)
        return read_url.get_secret_value() if read_url else settings.need(self.url)

    @property
    def unset(self) -> str:
        """What to say to somebody whose policy needs it."""
        return not_set(self.url)


def _control(url: str, read_url: str | None) -> Target:
    return SqlTarget(url, read_url, take_along)


TENDED: Mapping[str, TargetKind] = MappingProxyType(
    {
        "mongo": TargetKind("mongo_url", "mongo_read_url", MongoTarget),
        "sql": TargetKind("sql_url", "sql_read_url", SqlTarget),
    }
)
"""The databases of applications."""
KINDS: Mapping[str, TargetKind] = MappingProxyType(
    {**TENDED, TARGET: TargetKind("database_url", "database_url", _control)}
)


def kinds_set(settings: Settings) -> dict[str, TargetKind]:
    """The kinds of which there is a database to tend; raises `SettingError` when there is none."""
    found = {name: kind for name, kind in TENDED.items() if kind.is_set(settings)}
    if not found:
        raise SettingError(
            "TEND_MONGO_URL is not set, and neither is TEND_SQL_URL: put the database to tend "
            f"there, such as {example('mongo_url')} or {example('sql_url')}."
        )
    return found


def served(settings: Settings, policies: Sequence[Policy]) -> list[Policy]:
    """The policies that can fire on this site; of each other one the log says why it cannot."""
    for policy in policies:
        for kind in _unserved(settings, policy):
            log.warning("policy does not fire", policy=policy.name, why=KINDS[kind].unset)
    return [policy for policy in policies if is_served(settings, policy)]


def is_served(settings: Settings, policy: Policy) -> bool:
    """Whether the site has each kind of database that the policy names.

    Where no URL is set at all, as on a host for looking, nobody can tell that it has not.
    """
    return not _unserved(settings, policy)


def _unserved(settings: Settings, policy: Policy) -> list[str]:
    found = {name for name, each in TENDED.items() if each.is_set(settings)}
    return [kind for kind in kinds_of(policy) if found and kind not in {TARGET, *found}]


def kind_of(policy: Policy) -> str | None:
    """The kind of target whose records a policy changes; None if it performs tasks."""
    options = policy.options
    return options.target if isinstance(options, RecordOptions) else None


def kinds_of(policy: Policy) -> tuple[str, ...]:
    """The kinds of target that a policy needs, whatever it does there."""
    options = policy.options
    if isinstance(options, TaskOptions):
        return options.targets
    kind = kind_of(policy)
    return () if kind is None else (kind,)


def open_targets(settings: Settings) -> dict[str, Target]:
    """A target of each kind whose URL is set; raises `SettingError` when there is none to tend."""
    kinds = {**kinds_set(settings), TARGET: KINDS[TARGET]}
    return {name: kind.open(settings) for name, kind in kinds.items()}


@contextmanager
def opened_to_look(settings: Settings) -> Iterator[Mapping[str, Target]]:
    """A target of each kind whose URL is set, for questions alone."""
    with ExitStack() as opened:
        yield {
            name: opened.enter_context(closing(kind.open_to_look(settings)))
            for name, kind in KINDS.items()
            if kind.is_set(settings)
        }
