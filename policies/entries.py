"""How long the audit log is kept."""

from collections.abc import Sequence
from pathlib import Path

from policies.durations import Age, CalendarAge
from policies.selectors import Vocabulary
from policies.single_file import load_one

FILE = Path("audit") / "retention.yaml"


class EntryRetention(Vocabulary):
    """Entries younger than `keep` never go."""

    keep: CalendarAge = Age(7, "y")


def load_entry_retention(directories: Sequence[Path]) -> EntryRetention:
    """Read `audit/retention.yaml` of every directory, later ones over earlier ones.

    Raises `PolicyError` with file, line and key.
    """
    return load_one(directories, FILE, EntryRetention) or EntryRetention()
