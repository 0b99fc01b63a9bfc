"""Stores and their point-of-sale systems: catalogues synced, failures recovered or told."""

from jobs.pos_sync.syncing import PosSync
from jobs.task import TaskJob

jobs: tuple[TaskJob, ...] = (PosSync(),)
