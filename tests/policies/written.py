"""Policies as text, written where a test wants them."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.loader import LoadedPolicy, load
from worker.registry import every_job

PURGE = """\
name: old-sales
job: retention_purge
description: Sales go after seven years.
schedule:
  cron: "20 3 * * *"
options:
  collection: salesData
  select:
    older_than:
      field: createdAt
      age: 2555d
guards:
  max_records: 100
  max_percent: 1
undo: 30d
"""

REPAIR = """\
name: mended-sales
job: value_repair
description: Negative values become 0, and text a date.
options:
  collection: salesData
  repairs:
    - field: quantity
      when: negative
      set: 0
    - field: date
      when: text_date
      parse: [iso8601, "%d.%m.%Y"]
guards:
  max_records: 100
  max_percent: 1
undo: none
"""


def write(directory: Path, text: str, name: str | None = None) -> Path:
    """Write a policy under the name it gives itself, or under `name`."""
    directory.mkdir(exist_ok=True)
    first = text.partition("\n")[0].removeprefix("name: ")
    (directory / f"{name or first}.yaml").write_text(text)
    return directory


def load_all(*directories: Path) -> dict[str, LoadedPolicy]:
    return load(directories, {name: job.Options for name, job in every_job().items()})


def complaint(directory: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        load_all(directory)
    return str(caught.value)
