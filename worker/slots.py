"""Which moments a schedule names: arithmetic on APScheduler's triggers, without side effects.

A cron line whose hour field has no `*` means a time of day: it comes once per local date, in
autumn the first of the two times, in spring at the first moment after the gap. A line with `*`
there follows real time: an hour that comes twice fires twice, one that is missing does not.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from policies.models import Schedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_HORIZON = timedelta(days=9 * 366)  # 29 February can be eight years away


def due_slots(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every slot with after < slot <= until, in UTC and in order, computed as it is asked for."""
    start, end = (moment.astimezone(UTC).replace(microsecond=0) for moment in (after, until))
    start, end = start + _SECOND, end + _SECOND  # from here on: start <= slot < end
    if schedule.every is not None:
        every = int(schedule.every.delta.total_seconds())
        yield from _matches(IntervalTrigger(seconds=every, start_date=_EPOCH), start, end)
    elif schedule.cron is not None:
        # The trigger walks local times as if they were UTC: given the real zone, it loses and
        # repeats slots where the clock changes.
        clock = CronTrigger.from_crontab(schedule.cron, timezone=UTC)
        every_hour = "*" in schedule.cron.split()[1]
        slots = _in_real_time if every_hour else _by_the_clock
        yield from slots(clock, schedule.zone, start, end)


def next_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """The first slot after this moment; None if the schedule never fires."""
    return next(due_slots(schedule, after, after + _HORIZON), None)


def _by_the_clock(
    clock: CronTrigger, zone: tzinfo, start: datetime, end: datetime
) -> Iterator[datetime]:
    first = _local(start - _SECOND, zone)  # so that the gap that ends at `start` is walked too
    moments = (
        _first_moment(local, zone) for local in _matches(clock, first, _local(end, zone) + _DAY)
    )
    for moment, _ in groupby(moments):
        if moment >= end:
            return
        if moment >= start:
            yield moment


def _in_real_time(
    clock: CronTrigger, zone: tzinfo, start: datetime, end: datetime
) -> Iterator[datetime]:
    while start < end:
        offset = _offset(start, zone)
        stop = min(start + _DAY, end)
        if _offset(stop, zone) != offset:
            stop = _change(start, stop, zone)
        for local in _matches(clock, start + offset, stop + offset):
            yield local - offset
        start = stop


def _matches(
    trigger: CronTrigger | IntervalTrigger, start: datetime, end: datetime
) -> Iterator[datetime]:
    trigger.end_date = end  # without one, a line that never matches walks to the year 9999
    found = trigger.get_next_fire_time(None, start)
    while found is not None and found < end:
        yield found
        found = trigger.get_next_fire_time(None, found + _SECOND)


def _first_moment(local: datetime, zone: tzinfo) -> datetime:
    """When a clock in `zone` first shows this time or, if it never does, leaves it behind."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if _local(moment, zone) == local:
        return moment
    return _change(local.replace(tzinfo=zone, fold=1).astimezone(UTC), moment, zone)


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """The first second after `low` that has the offset of `high`; they differ."""
    offset = _offset(low, zone)
    while high - low > _SECOND:
        middle = low + ((high - low) // 2 // _SECOND) * _SECOND
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return _local(moment, zone) - moment


def _local(moment: datetime, zone: tzinfo) -> datetime:
    """What the clock in `zone` shows, written as if it were UTC."""
    return moment.astimezone(zone).replace(tzinfo=UTC, fold=0)
