"""`make bench`: every figure that the project claims, measured here and now."""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks import (
    audit,
    console,
    lockout,
    orphans,
    pace,
    pos,
    probes,
    retention,
    takeover,
    upkeep,
)

NAMES = ("retention", "pace", "orphans", "faults", "lockout", "pos", "audit", "probes", "console")
Measure = Callable[[Path], None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=NAMES, help="one of them alone")
    parser.add_argument("--rows", default="all", help="a number of sales, or all 1,469,307")
    parser.add_argument("--users", default="100000,1000000", help="sizes for the orphans")
    parser.add_argument("--sales", type=int, default=5_000_000, help="beside so many users")
    parser.add_argument("--stores", type=int, default=1_000, help="of which a fifth fails")
    parser.add_argument("--entries", type=int, default=1_000_000, help="to verify")
    parser.add_argument("--runs", type=int, default=100_000, help="beside them for the console")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    measures = _measures(wanted)
    for name in NAMES if wanted.only is None else (wanted.only,):
        for measure in measures[name]:
            with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
                measure(Path(folder))


def _measures(wanted: argparse.Namespace) -> Mapping[str, Sequence[Measure]]:
    """By name what is measured, each in a folder of its own."""
    rows = None if wanted.rows == "all" else int(wanted.rows)
    rounds: int = wanted.rounds
    sizes = [int(users) for users in wanted.users.split(",")]
    return {
        "retention": [partial(retention.measure, rows=rows, rounds=rounds)],
        "pace": [partial(pace.measure, rows=rows, rounds=rounds)],
        "orphans": [
            partial(orphans.measure, users=users, sales=wanted.sales, rounds=rounds)
            for users in sizes
        ],
        "faults": [partial(part.measure, rounds=rounds) for part in (upkeep, takeover)],
        "lockout": [partial(lockout.measure, rounds=rounds)],
        "audit": [partial(audit.measure, count=wanted.entries, rounds=rounds)],
        "probes": [partial(probes.measure, rounds=rounds)],
        "console": [partial(console.measure, runs=wanted.runs, entries=wanted.entries)],
        "pos": [partial(pos.measure, stores=wanted.stores, rounds=rounds)],
    }


if __name__ == "__main__":
    main()
