"""Lines of logs: parsed from both ends, so that nobody's name can pass for an address.

A line that two readings fit, or whose name holds a space, says nothing certain: it is set aside.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from jobs.login_lockout.addresses import key_of
from jobs.login_lockout.events import Event, user_key
from jobs.login_lockout.options import FileSource

IGNORED = "ignored"
"""The line is about something else."""
Parse = Callable[[str], Event | str]
"""An event, or in a word why the line is set aside."""

_STAMP = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)?"
_SYSLOG = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"


def _try(number: str) -> str:
    """What sshd says of one try; its own words end the line, whatever a client calls itself."""
    return (
        rf"(?P<outcome{number}>Failed|Accepted) [a-z/-]+ for (?:invalid user )?"
        rf"(?P<user{number}>.*) from (?P<address{number}>\S+) port \d{{1,5}}(?: ssh2)?"
    )


_SSHD = re.compile(
    rf"(?P<at>{_SYSLOG}|{_STAMP}) \S+ sshd(?:-session)?\[\d+\]: "
    rf"(?:{_try('')}(?:: [A-Z0-9-]+ \S+)?"
    rf"|message repeated (?P<count>\d{{1,6}}) times: \[ ?{_try('2')}\])"
)
_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = {name: number for number, name in enumerate(_NAMES.split(), start=1)}
_SUCCEEDED = frozenset({"success", "succeeded", "successful_login", "login", "accepted"})
_FAILED = frozenset({"failure", "failed", "failed_login", "login_failed"})
_cached_user_key = lru_cache(maxsize=65_536)(user_key)


def parser(source: FileSource, now: datetime) -> Parse:
    """How to read a line of this source; `now` says which year a stamp without one means."""
    zone = ZoneInfo(source.timezone)
    match source.format:
        case "sshd":
            return lambda line: _sshd(line, zone, now)
        case "json":
            return lambda line: _json(line, zone)
        case _:
            patterns = [re.compile(pattern) for pattern in source.lines]
            return lambda line: _by_pattern(line, patterns, source.mark, zone)


def _by_pattern(
    line: str, patterns: Iterable[re.Pattern[str]], mark: str, zone: ZoneInfo
) -> Event | str:
    if mark not in line:
        return IGNORED
    readings = {}
    for pattern in patterns:
        found = pattern.fullmatch(line)
        if found is not None:
            said = found.groupdict()
            readings[(said.get("user"), said["address"], said["at"])] = said
    if not readings:
        return "unreadable"
    events = [_event(said, zone) for said in readings.values()]
    certain = [event for event in events if isinstance(event, Event)]
    if len(certain) > 1:
        return "ambiguous"
    return certain[0] if certain else events[0]


def _event(said: dict[str, str | None], zone: ZoneInfo) -> Event | str:
    outcome = (said.get("outcome") or "failed").casefold()
    if outcome not in _FAILED | _SUCCEEDED:
        return "outcome"
    return _checked(
        _moment(said["at"] or "", zone),
        said.get("user"),
        said["address"] or "",
        failed=outcome in _FAILED,
        count=int(said.get("count") or 1),
    )


def _checked(
    at: datetime | None, user: str | None, shown: str, *, failed: bool, count: int
) -> Event | str:
    if at is None:
        return "time"
    if user is not None and (any(letter.isspace() for letter in user) or not user.isprintable()):
        return "ambiguous"
    address = key_of(shown)
    if address is None:
        return "address"
    return Event(at, _cached_user_key(user), address, failed, count, "", "", user or None, shown)


def _sshd(line: str, zone: ZoneInfo, now: datetime) -> Event | str:
    if "sshd" not in line or (" Failed " not in line and " Accepted " not in line):
        return IGNORED
    found = _SSHD.fullmatch(line)
    if found is None:
        return "unreadable"
    said = found.groupdict()
    tail = "2" if said["count"] else ""
    stamp = str(said["at"])
    at = _moment(stamp, zone) if stamp[0].isdigit() else _without_year(stamp, zone, now)
    return _checked(
        at,
        said["user" + tail],
        str(said["address" + tail]),
        failed=said["outcome" + tail] == "Failed",
        count=int(said["count"] or 1),
    )


def _json(line: str, zone: ZoneInfo) -> Event | str:
    try:
        said = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return "unreadable"
    if not isinstance(said, dict):
        return "unreadable"
    outcome = _first(said, "outcome", "event", "action", "type")
    if str(outcome).casefold() not in _FAILED | _SUCCEEDED:
        return IGNORED
    at = _first(said, "timestamp", "at", "time", "@timestamp")
    user = _first(said, "userId", "username", "user", "email")
    shown = _first(said, "ipAddress", "address", "ip", "remoteAddress")
    if not isinstance(at, str) or not isinstance(shown, str):
        return "unreadable"
    if not isinstance(user, str | int | None) or isinstance(user, bool):
        return "ambiguous"
    failed = str(outcome).casefold() in _FAILED
    name = None if user is None else str(user)
    return _checked(_moment(at, zone), name, shown, failed=failed, count=1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice, programs disagree on which one counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _first(said: dict[str, Any], *names: str) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)


@lru_cache(maxsize=4_096)
def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    """A time in ISO 8601; without an offset, in the log's own zone."""
    try:
        at = datetime.fromisoformat(text.replace(",", "."))
        local = at if at.tzinfo is not None else at.replace(tzinfo=zone)
        return local.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4_096)
def _without_year(text: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Syslog names no year: it is the latest one in which the line is not from the future."""
    month = _MONTHS.get(text[:3])
    if month is None:
        return None
    day, hour, minute, second = int(text[4:6]), *map(int, text[7:].split(":"))
    for year in (now.year + 1, now.year, now.year - 1):
        try:
            local = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        except ValueError:
            continue
        at = local.astimezone(UTC)
        if at <= now + timedelta(days=1):
            return at
    return None
