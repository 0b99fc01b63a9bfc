"""The models of `throttle`: from which values on a target makes a run go slowly, or stop."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from policies.selectors import Vocabulary

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Limit(Vocabulary):
    """Above `slow` a run writes less, above `stop` nothing; `docs/policies.md` has the units."""

    slow: Amount
    stop: Amount

    @model_validator(mode="after")
    def _in_order(self) -> "Limit":
        if self.slow > self.stop:
            raise ValueError("slow must not be above stop")
        return self


class Throttle(Vocabulary):
    """One limit for each indicator, and what holds for one that cannot be read."""

    missing: Literal["go", "stop"] = "stop"
    replication_lag: Limit = Limit(slow=10, stop=30)
    queued_operations: Limit = Limit(slow=20, stop=100)
    # From 20 % on WiredTiger makes the application's own threads write the cache to disk.
    dirty_cache: Limit = Limit(slow=15, stop=20)
    active_sessions: Limit = Limit(slow=40, stop=80)
    batch_latency: Limit = Limit(slow=2, stop=6)
