"""`make bench`: every figure that the project claims, measured here and now."""

import argparse
import tempfile
from pathlib import Path

from benchmarks import retention


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", default="all", help="a number of sales, or all 1,469,307")
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    rows = None if wanted.rows == "all" else int(wanted.rows)
    with tempfile.TemporaryDirectory(prefix="tend-bench-") as folder:
        retention.measure(Path(folder), rows, wanted.rounds)


if __name__ == "__main__":
    main()
