"""Log files as a source: what is new is read, kept for as long as windows look back, and given.

Positions and events are kept in one transaction, so that a line counts once whatever happens.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from jobs.login_lockout import tailing
from jobs.login_lockout.events import Event
from jobs.login_lockout.lines import IGNORED, parser
from jobs.login_lockout.options import FileSource, LockoutOptions
from jobs.login_lockout.records import subject_digest
from jobs.login_lockout.tables import LockoutEvent, LockoutFile
from jobs.login_lockout.tailing import Line, Position
from jobs.task import TaskContext, Vault
from policies.errors import TendError

FORGOTTEN = 50
"""Files of one source that are remembered; a rotation keeps fewer."""
SEAL = "lockout/event"
COLLECTIONS = "collections"
"""In place of a log: what was set aside of collections at the latest look."""


class LogMissing(TendError):
    """A log that the policy names is not there."""

    code = "log_missing"


def sources_of(options: LockoutOptions) -> list[FileSource]:
    return [source for source in options.sources if isinstance(source, FileSource)]


def check(options: LockoutOptions) -> None:
    """Raise unless each pattern names a file: a typing error would look like perfect peace."""
    for source in sources_of(options):
        if not source.optional and not tailing.named(source.files):
            raise LogMissing(
                f"No file is named {source.files}; correct `files`, or take the source away."
            )


def absent(options: LockoutOptions) -> list[str]:
    """The patterns of optional logs that name no file on this machine."""
    sources = sources_of(options)
    return [one.files for one in sources if one.optional and not tailing.named(one.files)]


def not_there(pattern: str) -> str:
    return f"no file is named {pattern} here, so nothing is read from there; it is optional."


def follow(
    ctx: TaskContext, policy: str, options: LockoutOptions, begin: datetime, end: datetime
) -> list[list[Event]]:
    """By source, the logged events from `begin` to `end`, with those since the last look."""
    read_on(ctx, policy, options, begin)
    return kept(ctx, policy, options, begin, end)


def read_on(ctx: TaskContext, policy: str, options: LockoutOptions, begin: datetime) -> None:
    """Keep what the logs tell since the last look."""
    for source in sources_of(options):
        _read_on(ctx, policy, options, source, begin)


def kept(
    ctx: TaskContext, policy: str, options: LockoutOptions, begin: datetime, end: datetime
) -> list[list[Event]]:
    """By source, the events from `begin` to `end` that were read so far."""
    sources = sources_of(options)
    with ctx.state.transaction() as session:
        return [_kept(session, ctx.vault, policy, source, begin, end) for source in sources]


def logged_in(
    ctx: TaskContext, policy: str, options: LockoutOptions
) -> Callable[[str, datetime], int]:
    """How many distinct users log files know to have logged in from an address lately."""
    if not sources_of(options):
        return lambda _address, _at: 0

    def count(address: str, at: datetime) -> int:
        query = select(func.count(func.distinct(LockoutEvent.user))).where(
            LockoutEvent.policy == policy,
            LockoutEvent.address == subject_digest(ctx.vault, "address", address),
            LockoutEvent.failed.is_(False),
            LockoutEvent.at >= at - options.shared.within.delta,
        )
        with ctx.state.transaction() as session:
            return int(session.scalar(query) or 0)

    return count


def set_aside(session: Session, policy: str) -> dict[str, int]:
    """How many lines and events said nothing certain, by why.

    Lines count since their log was first met, events of a collection while they are looked at.
    """
    counted: Counter[str] = Counter()
    for row in session.scalars(select(LockoutFile).where(LockoutFile.policy == policy)):
        counted.update(row.set_aside)
    return dict(counted)


def note(ctx: TaskContext, policy: str, counted: Mapping[str, int]) -> None:
    """Write down how many events of collections say nothing certain, as of this look."""
    said = {why: count for why, count in counted.items() if count}
    with ctx.state.transaction() as session:
        row = session.get(LockoutFile, (policy, COLLECTIONS))
        if row is None:
            row = LockoutFile(policy=policy, source=COLLECTIONS, files=[], set_aside={}, version=0)
            session.add(row)
        if row.set_aside != said:
            row.set_aside = said


def _read_on(
    ctx: TaskContext, policy: str, options: LockoutOptions, source: FileSource, begin: datetime
) -> None:
    digest = _digest(ctx.vault, source)
    with ctx.state.transaction() as session:
        row = session.get(LockoutFile, (policy, digest))
        known = [Position(*each) for each in row.files] if row is not None else []
        version = row.version if row is not None else 0
    keep_from = {True: begin, False: ctx.as_of - options.shared.within.delta}
    parse = parser(source, ctx.as_of)
    taken: set[str] = set()
    for path in tailing.files_of(source.files, known):
        position = tailing.resumed(path, known, taken)
        if position is None:
            continue
        taken.add(position.name)
        for after, lines in tailing.whole_lines(path, position):
            counted: Counter[str] = Counter()
            events = list(_parsed(lines, parse, counted, keep_from))
            known = _with(known, after)
            version = _keep(ctx, policy, digest, version, known, events, counted)
        known = known if position.offset == 0 and position.size == 0 else _met(known, position)
    with ctx.state.transaction() as session:
        _forget(session, policy, keep_from)


def _met(known: list[Position], position: Position) -> list[Position]:
    """A file in which there was nothing new is still known by its new name."""
    return known if any(each.name == position.name for each in known) else _with(known, position)


def _with(known: Sequence[Position], position: Position) -> list[Position]:
    others = [each for each in known if each.name != position.name]
    return [*others, position][-FORGOTTEN:]


def _parsed(
    lines: Sequence[Line],
    parse: Callable[[str], Event | str],
    counted: Counter[str],
    keep_from: dict[bool, datetime],
) -> Iterator[Event]:
    for line in lines:
        event = parse(line.text)
        if isinstance(event, str):
            if event != IGNORED:
                counted[event] += 1
        elif event.at >= keep_from[event.failed]:
            yield event._replace(place=line.place)


def _keep(
    ctx: TaskContext,
    policy: str,
    digest: str,
    version: int,
    known: Sequence[Position],
    events: Sequence[Event],
    counted: Counter[str],
) -> int:
    """One transaction; raises `ReadElsewhere` if another look has read on meanwhile."""
    with ctx.state.transaction() as session:
        row = session.get(LockoutFile, (policy, digest), with_for_update=True)
        if row is None:
            row = LockoutFile(policy=policy, source=digest, files=[], set_aside={}, version=0)
            session.add(row)
        if row.version != version:
            raise ReadElsewhere("Another look at this log is under way; the next one goes on.")
        row.version = version + 1
        row.files = [each.as_json() for each in known]
        row.set_aside = dict(Counter(row.set_aside) + counted)
        session.add_all(_row(ctx.vault, policy, digest, event) for event in events)
        return row.version


class ReadElsewhere(TendError):
    """Two looks read one log at the same time."""

    code = "log_read_elsewhere"


def _row(vault: Vault, policy: str, digest: str, event: Event) -> LockoutEvent:
    told: dict[str, Any] = {**event._asdict(), "at": event.at.isoformat(), "source": digest[:8]}
    return LockoutEvent(
        policy=policy,
        source=digest,
        place=event.place,
        at=event.at,
        failed=event.failed,
        user=None if event.user is None else subject_digest(vault, "user", event.user),
        address=subject_digest(vault, "address", event.address),
        event=vault.seal(json.dumps(told).encode(), SEAL),
    )


def _kept(
    session: Session,
    vault: Vault,
    policy: str,
    source: FileSource,
    begin: datetime,
    end: datetime,
) -> list[Event]:
    query = select(LockoutEvent.event).where(
        LockoutEvent.policy == policy,
        LockoutEvent.source == _digest(vault, source),
        LockoutEvent.at >= begin,
        LockoutEvent.at <= end,
    )
    return [_opened(vault, sealed) for sealed in session.scalars(query.order_by(LockoutEvent.id))]


def _opened(vault: Vault, sealed: bytes) -> Event:
    told = json.loads(vault.open(sealed, SEAL))
    return Event(**{**told, "at": datetime.fromisoformat(told["at"])})


def _forget(session: Session, policy: str, keep_from: dict[bool, datetime]) -> None:
    old = or_(
        LockoutEvent.failed.is_(True) & (LockoutEvent.at < keep_from[True]),
        LockoutEvent.failed.is_(False) & (LockoutEvent.at < keep_from[False]),
    )
    session.execute(delete(LockoutEvent).where(LockoutEvent.policy == policy, old))


def _digest(vault: Vault, source: FileSource) -> str:
    return vault.digest(f"log:{source.files}".encode())
