"""The records of a run as `tend records` lists them."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from policies.errors import TendError
from worker import listing
from worker.archive import ArchiveStore
from worker.database import Database
from worker.keys import Keyring
from worker.logs import safe_text
from worker.settings import Settings

Document = dict[str, Any]


def found(
    settings: Settings, database: Database, run_id: int, *, is_revealed: bool
) -> listing.Listing:
    """Raises what keeps them from being listed."""
    archive = ArchiveStore(settings.need("archive_url"))
    keyring = Keyring.from_settings(settings)
    return listing.listing(database, archive, keyring, run_id, is_revealed=is_revealed)


def chosen(
    rows: Iterable[Document], outcome: str | None, counts: Counter[str]
) -> Iterator[Document]:
    """The rows that are wanted, while all are counted."""
    for row in rows:
        counts[row["outcome"]] += 1
        if outcome in {None, row["outcome"]}:
            yield row


def as_json(
    run_id: int, rows: Iterable[Document], counts: Counter[str], failed: list[TendError]
) -> Iterator[str]:
    """One document, in parts as the records come; an error on the way is its last part."""
    yield f'{{"id": "r-{run_id}", "records": ['
    try:
        for number, row in enumerate(rows):
            yield (",\n" if number else "\n") + json.dumps(row, ensure_ascii=False)
    except TendError as error:
        failed.append(error)
    yield f'\n], "counts": {json.dumps(counts)}'
    for each in failed:
        said = {"code": each.code, "message": safe_text(each), "details": {}}
        yield f', "status": "error", "error": {json.dumps(said, ensure_ascii=False)}'
    yield "}\n"
