"""How many examples a property is tried with."""

import os

IS_QUICK = bool(os.environ.get("QUICK_TESTS"))
"""Set by `make test-fast`; a name with TEND_ would be taken for a setting."""


def examples(many: int) -> int:
    """As many in `make test`; `make test-fast` tries a third, and five at least."""
    return max(many // 3, 5) if IS_QUICK else many
