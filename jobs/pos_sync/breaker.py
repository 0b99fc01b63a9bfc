"""The breaker before every store, shared by all workers: its state lives in Redis alone.

All decisions are made inside Redis, by the server's clock. A generation number goes with every
permission: what a worker reports under an older one comes too late and counts for nothing. With
Redis gone there is no permission.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import redis
from redis.exceptions import RedisError

from jobs.pos_sync.failures import Kind, SyncFailed

SAMPLES = 20
ENOUGH = 5
FIRST_OPEN = 60_000
LONGEST_OPEN = 3_600_000
FORGOTTEN_AFTER = 7 * 86_400_000
"""A store that nobody asks for a week has no breaker any more, and is asked anew."""

_KEYS = "tend:pos:breaker:"
_HEAD = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(field) return tonumber(redis.call('HGET', KEYS[1], field) or '0') end
local state = redis.call('HGET', KEYS[1], 'state') or 'closed'
local generation = number('generation')
"""

_ACQUIRE = (
    _HEAD
    + """
if state == 'closed' then return {'go', generation, 0} end
local opens = number('until')
if now < opens then return {'open', generation, opens - now} end
local lease = number('lease')
if now < lease then return {'probing', generation, lease - now} end
generation = generation + 1
redis.call('HSET', KEYS[1], 'state', 'open', 'generation', generation, 'lease', now + ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'probe', generation, 0}
"""
)

_RECORD = (
    _HEAD
    + """
local good, samples, enough = ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
if generation ~= tonumber(ARGV[1]) then return {'late', generation, 0} end
local function open(openings)
  local wait = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(openings, 30))
  redis.call('HSET', KEYS[1], 'state', 'open', 'generation', generation + 1, 'lease', 0,
             'openings', openings + 1, 'until', now + wait, 'recent', '')
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  return {'open', generation + 1, wait}
end
if state == 'open' then
  if not good then return open(number('openings')) end
  redis.call('HSET', KEYS[1], 'state', 'closed', 'generation', generation + 1, 'lease', 0,
             'recent', '')
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
  return {'go', generation + 1, 0}
end
local recent = (redis.call('HGET', KEYS[1], 'recent') or '') .. (good and '1' or '0')
recent = string.sub(recent, -samples)
local total, failed = #recent, select(2, string.gsub(recent, '0', ''))
if total >= enough and failed * 2 >= total then return open(number('openings')) end
redis.call('HSET', KEYS[1], 'state', 'closed', 'generation', generation, 'recent', recent)
if total >= enough and failed == 0 then redis.call('HSET', KEYS[1], 'openings', 0) end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
return {'go', generation, 0}
"""
)

_LOOK = (
    _HEAD
    + """
if state == 'closed' then return {'go', generation, 0} end
local opens, lease = number('until'), number('lease')
if now < opens then return {'open', generation, opens - now} end
if now < lease then return {'probing', generation, lease - now} end
return {'probe', generation, 0}
"""
)


class Verdict(StrEnum):
    """What a worker may do with the store now."""

    GO = "go"
    OPEN = "open"
    PROBE = "probe"
    PROBING = "probing"
    LATE = "late"


STATES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.GO: "closed",
        Verdict.OPEN: "open",
        Verdict.PROBE: "half_open",
        Verdict.PROBING: "half_open",
    }
)
"""What a breaker is called whose `look` says so."""


class Permission(NamedTuple):
    """A verdict, the generation under which to report, and how long to wait (milliseconds)."""

    verdict: Verdict
    generation: int
    wait: int


class Breaker:
    """The breakers of all stores; `LIMIT_UNKNOWN` is raised while Redis does not answer."""

    def __init__(self, client: "redis.Redis", *, lease_seconds: float = 120) -> None:
        self._client = client
        self._lease = int(lease_seconds * 1000)
        self._acquire = client.register_script(_ACQUIRE)
        self._record = client.register_script(_RECORD)
        self._look = client.register_script(_LOOK)

    def acquire(self, store: str) -> Permission:
        """May this store be asked? Of all who ask an open one whose time is up, one may probe."""
        return self._run(self._acquire, store, (self._lease, FORGOTTEN_AFTER))

    def record(self, store: str, generation: int, *, good: bool) -> Permission:
        """Report how asking went, under the generation it was permitted with."""
        ages = (SAMPLES, ENOUGH, FIRST_OPEN, LONGEST_OPEN, FORGOTTEN_AFTER)
        return self._run(self._record, store, (generation, int(good), *ages))

    def look(self, store: str) -> Permission:
        """What `acquire` would say, taking nothing."""
        return self._run(self._look, store, ())

    def states(self) -> Counter[str]:
        """How many breakers are in which state; a store that was never asked has none."""
        try:
            keys = list(self._client.scan_iter(f"{_KEYS}*", count=1000))
            with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    self._look([key], client=pipe)
                answers = pipe.execute()
        except RedisError as error:
            raise SyncFailed(Kind.LIMIT_UNKNOWN, "the breakers") from error
        return Counter(STATES[_permission(answer).verdict] for answer in answers)

    def _run(self, script: Any, store: str, arguments: Sequence[int]) -> Permission:
        try:
            answer = cast("list[Any]", script([f"{_KEYS}{store}"], arguments))
        except RedisError as error:
            raise SyncFailed(Kind.LIMIT_UNKNOWN, f"store {store}") from error
        return _permission(answer)


def _permission(answer: Sequence[Any]) -> Permission:
    verdict = answer[0].decode() if isinstance(answer[0], bytes) else answer[0]
    return Permission(Verdict(verdict), int(answer[1]), int(answer[2]))
