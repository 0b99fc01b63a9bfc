"""`make bench`: every figure that the project claims, measured here and now."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import lockout, orphans, pace, retention, takeover, upkeep


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only",
        choices=("retention", "pace", "orphans", "faults", "lockout"),
        help="one of them alone",
    )
    parser.add_argument("--rows", default="all", help="a number of sales, or all 1,469,307")
    parser.add_argument("--users", default="100000,1000000", help="sizes for the orphans")
    parser.add_argument("--sales", type=int, default=5_000_000, help="beside so many users")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    rows = None if wanted.rows == "all" else int(wanted.rows)
    if wanted.only in {None, "retention"}:
        with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
            retention.measure(Path(folder), rows, wanted.rounds)
    if wanted.only in {None, "pace"}:
        with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
            pace.measure(Path(folder), rows, wanted.rounds)
    if wanted.only in {None, "orphans"}:
        for users in map(int, wanted.users.split(",")):
            with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
                orphans.measure(Path(folder), users, wanted.sales, wanted.rounds)
    if wanted.only in {None, "faults"}:
        for part in (upkeep, takeover):
            with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
                part.measure(Path(folder), wanted.rounds)
    if wanted.only in {None, "lockout"}:
        with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
            lockout.measure(Path(folder), wanted.rounds)


if __name__ == "__main__":
    main()
