"""Exact sliding windows over login events in the order of their time: what is to be decided.

A failure counts towards a lock from `within` before it: not if a success of the same user came
after it, not if a lock answers it already, and not if a person pardoned it. So that events which
arrive late change nothing twice, a decision answers everything from its first failure to its end.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from jobs.login_lockout.events import Event

MayBlock = Callable[[str, datetime], str | None]
"""Why an address is not to be blocked, in a word; None if it may be."""


@dataclass(frozen=True)
class Rules:
    """The thresholds of a policy."""

    failures: int
    within: timedelta
    ladder: Sequence[timedelta]
    remember: timedelta
    block: timedelta
    spray_users: int
    spray_within: timedelta
    wide_addresses: int
    wide_within: timedelta
    wide_quiet: timedelta
    """How long one alert of it stands, and what the application is asked for meanwhile."""
    victims: int
    victims_within: timedelta
    break_glass: frozenset[str]
    may_block: MayBlock
    not_before: datetime | None = None
    """What happened earlier is too old to act on, and nothing stands for it."""


class Span(NamedTuple):
    """A decision that stands: from its first failure to its end."""

    kind: str
    """lock, block, or an alert's reason."""
    subject: str
    since: datetime
    at: datetime
    until: datetime
    other: str | None = None
    """The address that a lock answers."""


@dataclass(frozen=True)
class Decision:
    """What the rules ask for, and the failures that it rests on."""

    kind: str
    """lock, block or alert."""
    why: str
    subject: str
    """Whom it is about: the user of a lock, the address of a block, either of an alert."""
    user: str | None
    address: str | None
    since: datetime
    at: datetime
    until: datetime
    attempts: int
    events: tuple[Event, ...]
    users: tuple[str, ...] = ()
    """Of an attack on the accounts, those that it had locked."""


@dataclass(frozen=True)
class Facts:
    """What was decided before, and what a person said: up to when failures count no more."""

    spans: Sequence[Span] = ()
    users_pardoned: dict[str, datetime] = field(default_factory=dict)
    addresses_pardoned: dict[str, datetime] = field(default_factory=dict)


Window = OrderedDict[str, Event]
"""By user or address, the latest failure; the oldest of these comes first."""


@dataclass(slots=True)
class _User:
    """The failures of one user that count, by address: towards a lock, and towards a block."""

    lock: dict[str, deque[Event]] = field(default_factory=dict)
    block: dict[str, deque[Event]] = field(default_factory=dict)
    wide: Window = field(default_factory=OrderedDict)


class Evaluator:
    """Takes events in the order of their time, and says what each of them makes necessary."""

    def __init__(self, rules: Rules, facts: Facts) -> None:
        self._rules = rules
        self._facts = facts
        self._users: dict[str | None, _User] = {}
        self._spraying: dict[str, Window] = {}
        self._spans: dict[tuple[str, str], list[Span]] = {}
        self._locks_from: dict[str, list[Span]] = {}
        for span in facts.spans:
            self._stand(span)

    def add(self, event: Event) -> list[Decision]:
        if not event.failed:
            return list(self._success(event))
        found: list[Decision] = []
        if event.user is not None:
            found.extend(self._towards_lock(event, event.user))
        found.extend(self._towards_block(event))
        if event.user is not None:
            found.extend(self._towards_spraying(event, event.user))
            found.extend(self._towards_distributed(event, event.user))
        return found

    def _towards_lock(self, event: Event, user: str) -> Iterator[Decision]:
        rules = self._rules
        if _pardoned(self._facts.users_pardoned, user, event.at):
            return
        failures = self._of(user).lock.setdefault(event.address, deque())
        for _ in range(min(event.tries, rules.failures)):
            if self._stands("lock", user, event.at):
                return
            _slide(failures, event, rules.within)
            if len(failures) < rules.failures:
                continue
            events = tuple(failures)[-rules.failures :]
            if user in rules.break_glass:
                yield from self._alert("break_glass", event, events, rules.within, user=user)
            else:
                yield from self._lock(event, user, events)

    def _lock(self, event: Event, user: str, events: tuple[Event, ...]) -> Iterator[Decision]:
        """Lock the account, unless its lock is what the address is after."""
        if self._is_old(event) or self._stands("attack_on_accounts", event.address, event.at):
            return
        earliest = event.at - self._rules.victims_within
        victims = {
            str(span.subject)
            for span in self._locks_from.get(event.address, ())
            if span.at >= earliest
        }
        if len(victims | {user}) >= self._rules.victims:
            users = tuple(sorted(victims))
            yield from self._block(event, "attack_on_accounts", events)
            yield from self._alert(
                "attack_on_accounts", event, events, self._rules.victims_within, users=users
            )
            return
        until = event.at + self._step(user, event.at)
        for failures in self._of(user).lock.values():
            while failures and failures[-1].at >= events[0].at:
                failures.pop()
        yield self._decided("lock", "failures", user, event, events, until)

    def _step(self, user: str, at: datetime) -> timedelta:
        """How long this lock lasts: longer for each one that is remembered."""
        earliest = at - self._rules.remember
        locks = self._spans.get(("lock", user), ())
        before = sum(1 for span in locks if span.at >= earliest)
        return self._rules.ladder[min(before, len(self._rules.ladder) - 1)]

    def _towards_block(self, event: Event) -> Iterator[Decision]:
        if _pardoned(self._facts.addresses_pardoned, event.address, event.at):
            return
        failures = self._of(event.user).block.setdefault(event.address, deque())
        for _ in range(min(event.tries, self._rules.failures)):
            _slide(failures, event, self._rules.within)
        if len(failures) >= self._rules.failures:
            latest = tuple(failures)[-self._rules.failures :]
            yield from self._block(event, "failures", latest)

    def _towards_spraying(self, event: Event, user: str) -> Iterator[Decision]:
        if _pardoned(self._facts.addresses_pardoned, event.address, event.at):
            return
        window = self._spraying.setdefault(event.address, OrderedDict())
        _renew(window, user, event, self._rules.spray_within)
        if len(window) >= self._rules.spray_users:
            yield from self._block(event, "spraying", tuple(window.values()))

    def _towards_distributed(self, event: Event, user: str) -> Iterator[Decision]:
        if _pardoned(self._facts.users_pardoned, user, event.at):
            return
        window = self._of(user).wide
        _renew(window, event.address, event, self._rules.wide_within)
        if len(window) >= self._rules.wide_addresses:
            events = tuple(window.values())
            yield from self._alert("distributed", event, events, self._rules.wide_quiet, user=user)

    def _success(self, event: Event) -> Iterator[Decision]:
        """It clears this user's own failures, and nobody else's; after many it is an alarm."""
        if event.user is None or event.user not in self._users:
            return
        mine = self._users.pop(event.user)
        earliest = event.at - self._rules.within
        events = tuple(
            sorted(
                (each for dq in mine.block.values() for each in dq if each.at >= earliest),
                key=lambda each: each.at,
            )
        )
        for address in mine.block:
            if address in self._spraying:
                self._spraying[address].pop(event.user, None)
        if len(events) >= self._rules.failures:
            yield from self._alert(
                "success_after_failures",
                event,
                (*events[-self._rules.failures :], event),
                self._rules.within,
                user=event.user,
            )

    def _block(self, event: Event, why: str, events: tuple[Event, ...]) -> Iterator[Decision]:
        address = event.address
        if self._is_old(event) or self._stands("block", address, event.at):
            return
        objection = self._rules.may_block(address, event.at)
        if objection is not None:
            yield from self._alert(f"not_blocked_{objection}", event, events, self._rules.block)
            return
        until = event.at + self._rules.block
        yield self._decided("block", why, address, event, events, until)

    def _alert(
        self,
        why: str,
        event: Event,
        events: tuple[Event, ...],
        quiet: timedelta,
        *,
        user: str | None = None,
        users: tuple[str, ...] = (),
    ) -> Iterator[Decision]:
        """One alert of a kind about somebody, and then none for a while."""
        subject = event.address if user is None else user
        if self._is_old(event) or self._stands(why, subject, event.at):
            return
        decided = self._decided("alert", why, subject, event, events, event.at + quiet)
        is_from_many = user is not None and why != "success_after_failures"
        address = None if is_from_many else event.address
        yield replace(decided, address=address, users=users)

    def _decided(
        self,
        kind: str,
        why: str,
        subject: str,
        event: Event,
        events: tuple[Event, ...],
        until: datetime,
    ) -> Decision:
        """From now on it stands, and nothing is decided twice."""
        since = min(each.at for each in events)
        other = event.address if kind == "lock" else None
        self._stand(Span(why if kind == "alert" else kind, subject, since, event.at, until, other))
        return Decision(
            kind,
            why,
            subject,
            event.user,
            event.address,
            since,
            event.at,
            until,
            len(events),
            events,
        )

    def _of(self, user: str | None) -> _User:
        found = self._users.get(user)
        if found is None:
            found = self._users[user] = _User()
        return found

    def _stand(self, span: Span) -> None:
        self._spans.setdefault((span.kind, span.subject), []).append(span)
        if span.kind == "lock" and span.other is not None:
            self._locks_from.setdefault(span.other, []).append(span)

    def _is_old(self, event: Event) -> bool:
        return self._rules.not_before is not None and event.at < self._rules.not_before

    def _stands(self, kind: str, subject: str, at: datetime) -> bool:
        spans = self._spans.get((kind, subject))
        return spans is not None and any(span.since <= at < span.until for span in spans)


def _slide(failures: deque[Event], event: Event, within: timedelta) -> None:
    failures.append(event)
    earliest = event.at - within
    while failures[0].at < earliest:
        failures.popleft()


def _renew(window: Window, key: str, event: Event, within: timedelta) -> None:
    window[key] = event
    window.move_to_end(key)
    earliest = event.at - within
    while next(iter(window.values())).at < earliest:
        window.popitem(last=False)


def _pardoned(pardoned: dict[str, datetime], subject: str, at: datetime) -> bool:
    return bool(pardoned) and subject in pardoned and at <= pardoned[subject]
