"""The short history of probes: a row for each look, whatever the number of its readings."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from jobs.probing import Reading
from worker.tables import ProbeLook

KEPT = timedelta(days=1)
PLOTTED = 60
"""Looks of which a plot consists."""


class Point(NamedTuple):
    """One reading that is kept."""

    at: datetime
    value: float | None
    is_ill: bool


Line = tuple[str, str]
"""Subject and check."""


def keep(
    session: Session, probe: str, place: str, at: datetime, readings: Iterable[Reading]
) -> None:
    """Keep what a look read, and let go of what is past its time, of whatever probe."""
    lines = [
        [one.subject, one.check, one.value, one.ill] for one in readings if one.ill is not None
    ]
    packed = zlib.compress(json.dumps(lines, separators=(",", ":")).encode(), 1)
    session.add(ProbeLook(probe=probe, place=place, at=at, readings=packed))
    session.execute(delete(ProbeLook).where(ProbeLook.at < at - KEPT))


def lines(
    session: Session, probe: str, place: str, most: int = PLOTTED
) -> Mapping[Line, Sequence[Point]]:
    """By subject and check what the last looks read, the oldest first."""
    found: dict[Line, list[Point]] = {}
    query = _of(probe, place).order_by(ProbeLook.at.desc()).limit(most)
    for look in reversed(session.scalars(query).all()):
        for subject, check, value, is_ill in json.loads(zlib.decompress(look.readings)):
            found.setdefault((subject, check), []).append(Point(look.at, value, is_ill))
    return found


def oldest(
    session: Session, probe: str, place: str, subject: str, check: str
) -> tuple[datetime, float] | None:
    """The oldest value that is kept of one line, if the oldest look had one."""
    look = session.scalars(_of(probe, place).order_by(ProbeLook.at).limit(1)).first()
    if look is None:
        return None
    for one, asked, value, _ in json.loads(zlib.decompress(look.readings)):
        if (one, asked) == (subject, check) and value is not None:
            return look.at, float(value)
    return None


def _of(probe: str, place: str) -> Select[Any]:
    return select(ProbeLook).where(ProbeLook.probe == probe, ProbeLook.place == place)
