"""What the readings of a target's indicators mean under a policy's limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from policies.throttle import Limit, Throttle
from worker.targets.base import Reading

Word = Literal["go", "slow", "stop"]
_SEVERITY: dict[Word, int] = {"go": 0, "slow": 1, "stop": 2}
_UNITS = {
    "replication_lag": " s",
    "dirty_cache": " %",
    "batch_latency": " s",
}


@dataclass(frozen=True)
class Answer:
    """What a run may do now, and the sentence that says why; None when all is well."""

    word: Word
    why: str | None = None


GO = Answer("go")


def judge(throttle: Throttle, readings: Iterable[Reading]) -> Answer:
    """The gravest word of all indicators, with the reasons for that word."""
    answers = [_of_one(throttle, reading) for reading in readings]
    words = [answer.word for answer in answers]
    word: Word = max(words, key=_SEVERITY.__getitem__, default="go")
    reasons = [answer.why for answer in answers if answer.word == word and answer.why]
    return Answer(word, "; ".join(reasons) or None)


def _of_one(throttle: Throttle, reading: Reading) -> Answer:
    name = reading.indicator.replace("_", " ")
    if reading.value is None:
        return Answer(throttle.missing, f"{name} cannot be read: {reading.detail}")
    limit: Limit = getattr(throttle, reading.indicator)
    unit = _UNITS.get(reading.indicator, "")
    where = f" ({reading.detail})" if reading.detail else ""
    value = f"{name} is {reading.value:,.4g}{unit}{where}"
    if reading.value > limit.stop:
        return Answer("stop", f"{value}, above {limit.stop:,.4g}{unit}")
    if reading.value > limit.slow:
        return Answer("slow", f"{value}, above {limit.slow:,.4g}{unit}")
    return GO
