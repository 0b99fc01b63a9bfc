"""What is to be decided about locks and blocks, by going through everything again each time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jobs.login_lockout.events import Event
from jobs.login_lockout.windows import Rules

Said = tuple[str, str, datetime, int]


@dataclass
class Oracle:
    """Lists, and nothing clever: every failure with its place in the order of arrival."""

    rules: Rules
    history: list[tuple[int, Event]] = field(default_factory=list)
    locks: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    blocks: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)

    def judge(self, events: Sequence[Event]) -> list[Said]:
        for place, event in enumerate(events):
            if not event.failed:
                self.history.append((place, event))
                continue
            before = len(self.locks)
            for _ in range(event.tries):
                self.history.append((place, event))
                if event.user is not None and len(self.locks) == before:
                    self._lock(event, event.user)
            self._block(event)
        return self.said

    def _since_success(self, event: Event) -> list[Event]:
        """The failures of this user from this address in the window, after any success."""
        earliest = event.at - self.rules.within
        successes = [
            place for place, each in self.history if not each.failed and each.user == event.user
        ]
        last = max(successes, default=-1) if event.user is not None else -1
        return [
            each
            for place, each in self.history
            if each.failed
            and (each.user, each.address) == (event.user, event.address)
            and each.at >= earliest
            and place > last
        ]

    def _lock(self, event: Event, user: str) -> None:
        mine = [(since, until) for who, since, until in self.locks if who == user]
        if _in_any(event.at, mine):
            return
        countable = [each for each in self._since_success(event) if not _in_any(each.at, mine)]
        if len(countable) >= self.rules.failures:
            since = countable[-self.rules.failures].at
            until = event.at + self.rules.ladder[min(len(mine), len(self.rules.ladder) - 1)]
            self.locks.append((user, since, until))
            self.said.append(("lock", user, event.at, self.rules.failures))

    def _block(self, event: Event) -> None:
        mine = [(since, until) for who, since, until in self.blocks if who == event.address]
        failures = self._since_success(event)
        if len(failures) >= self.rules.failures and not _in_any(event.at, mine):
            since = failures[-self.rules.failures].at
            self.blocks.append((event.address, since, event.at + self.rules.block))
            self.said.append(("block", event.address, event.at, self.rules.failures))


def _in_any(at: datetime, spans: Sequence[tuple[datetime, datetime]]) -> bool:
    return any(since <= at < until for since, until in spans)
