"""An application at work: reads and updates, each timed, until it is told to stop.

`python -m benchmarks.application URL` prints the milliseconds of every operation as JSON when its
standard input is closed.
"""

import json
import sys
import threading
import time
from random import Random
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

THREADS = 2
THINK_SECONDS = 0.002
SAMPLE = 5_000


def main() -> None:
    client: MongoClient[dict[str, Any]] = MongoClient(sys.argv[1])
    sales = client.get_default_database()["salesData"]
    young = [each["_id"] for each in sales.find({}, {"_id": 1}).sort("createdAt", -1).limit(SAMPLE)]
    users = [each["_id"] for each in client.get_default_database()["users"].find({}, {"_id": 1})]
    stop = threading.Event()
    taken: list[list[float]] = [[] for _ in range(THREADS)]
    threads = [
        threading.Thread(target=_work, args=(sales, young, users, stop, mine, Random(number)))
        for number, mine in enumerate(taken)
    ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    json.dump([one for mine in taken for one in mine], sys.stdout)


def _work(
    sales: Collection[dict[str, Any]],
    young: list[Any],
    users: list[Any],
    stop: threading.Event,
    taken: list[float],
    random: Random,
) -> None:
    while not stop.wait(THINK_SECONDS):
        started = time.perf_counter()
        if random.random() < 0.5:
            list(sales.find({"userId": random.choice(users)}).limit(20))
        else:
            sales.update_one({"_id": random.choice(young)}, {"$inc": {"quantity": 0, "seen": 1}})
        taken.append((time.perf_counter() - started) * 1000)


if __name__ == "__main__":
    main()
