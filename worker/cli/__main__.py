"""`python -m worker.cli` is `tend`."""

import sys

from worker.cli import main

sys.exit(main())
