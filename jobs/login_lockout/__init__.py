"""Failed logins: accounts locked and addresses blocked for a while, exactly and explainably."""

from jobs.login_lockout.deciding import LoginLockout
from jobs.login_lockout.release import LockoutRelease
from jobs.task import TaskJob

jobs: tuple[TaskJob, ...] = (LoginLockout(), LockoutRelease())
