"""Every error Tend raises on purpose, in one tree under `TendError`.

Each message is one sentence that says what is wrong, where, and what to do. The `code` is
stable and free of personal data: entries, runs and alerts carry it.
"""

from policies.errors import TendError


class SettingError(TendError):
    """A setting from the environment is missing or wrong."""

    code = "setting_invalid"
    exit_code = 2


class UsageError(TendError):
    """What a person asked for cannot be asked in this way."""

    code = "usage"
    exit_code = 2


class TokenRefused(TendError):
    """TEND_TOKEN is unknown, expired or revoked; nobody falls back to a claimed identity."""

    code = "token_refused"


class LoginRefused(TendError):
    """Whoever wants to log in to the console has not shown who they are."""

    code = "login_refused"


class LoginThrottled(LoginRefused):
    """Too many logins failed; a while must pass before the next one is looked at."""

    code = "login_throttled"


class NoRole(LoginRefused):
    """The login provider knows them, and nothing that it says of them gives a role here."""

    code = "no_role"

    def __init__(self, message: str, name: str = "unknown") -> None:
        super().__init__(message)
        self.name = name
        """Who the provider says they are."""


class ProviderUnreachable(TendError):
    """The login provider does not answer, or not as one; local users still log in."""

    code = "provider_unreachable"


class NotLoggedIn(TendError):
    """The session of the console has ended, or there was none."""

    code = "not_logged_in"


class NotAllowed(TendError):
    """Whoever asks may not: their role, or what proves who they are, is not enough."""

    code = "not_allowed"


class UnknownPolicy(UsageError):
    """No policy has this name."""

    code = "policy_unknown"


class UnknownProbe(UsageError):
    """No probe has this name."""

    code = "probe_unknown"


class UnknownRun(UsageError):
    """No run has this id."""

    code = "run_unknown"


class UnknownEntry(UsageError):
    """The audit log has no entry of this number."""

    code = "entry_unknown"


class UnknownRecord(UsageError):
    """The run changed no record with this key."""

    code = "record_unknown"


class UnknownAlert(UsageError):
    """No alert has this id."""

    code = "alert_unknown"


class ForbiddenArrow(TendError):
    """A run cannot go from the state it is in to the state that was asked for."""

    code = "state_forbidden"


class PolicyChanged(TendError):
    """The policy's text differs from the text the plan was frozen with."""

    code = "policy_changed"


class PlanExpired(TendError):
    """The plan waited longer than its policy's `plan_expires`."""

    code = "plan_expired"


class DatabaseNotMigrated(TendError):
    """The control database is older or newer than this code."""

    code = "database_not_migrated"


class DatabaseUnreachable(TendError):
    """The control database does not answer; without it nothing may change."""

    code = "database_unreachable"


class QueueUnreachable(TendError):
    """Redis does not answer; runs are accepted and start when it does."""

    code = "queue_unreachable"


class TargetError(TendError):
    """The target cannot be used as asked."""

    code = "target"


class TargetMissing(TargetError):
    """No URL is set for the kind of database that the policy names."""

    code = "target_missing"
    exit_code = 2


class TargetUnreachable(TargetError):
    """The target does not answer; the work is tried again later."""

    code = "target_unreachable"


class TargetRefused(TargetError):
    """The target answers, but not to these credentials."""

    code = "target_refused"


class CollectionMissing(TargetError):
    """The collection a policy names does not exist."""

    code = "collection_missing"


class IndexMissing(TargetError):
    """The target would have to read the whole collection for this selector."""

    code = "index_missing"


class DeadlineExceeded(TargetError):
    """The target took longer than the operation was allowed."""

    code = "deadline_exceeded"


class FenceLost(TargetError):
    """A newer attempt stands in the target, or the fence is closed: this one must stop."""

    code = "fence_lost"


class BatchTooLarge(TargetError):
    """The before-images exceed the policy's `batch.bytes`; the batch is tried smaller."""

    code = "batch_too_large"


class TargetConflict(TargetError):
    """The application wrote the same records at the same moment; the batch is tried again."""

    code = "target_conflict"


class ArchiveError(TendError):
    """The archive cannot be written or read; nothing is changed without it."""

    code = "archive"


class ArchiveAltered(ArchiveError):
    """An archive object is missing or differs from its record; only its original mends that."""

    code = "archive_altered"


class ArchiveExpired(ArchiveError):
    """The before-images are past their `undo` time and were destroyed."""

    code = "archive_expired"


class GuardRefused(TendError):
    """A guard stopped the run before the change."""

    code = "guard_refused"
    exit_code = 3


class ParentUnusable(GuardRefused):
    """The collection whose records a `not_in` looks for cannot tell an orphan from any other."""

    code = "parent_unusable"


class HoldUndeclared(TendError):
    """A hold stands, and nobody said what it means for this collection."""

    code = "hold_undeclared"


class HoldUnknown(UsageError):
    """There is no such case."""

    code = "hold_unknown"


class SubjectUnknown(UsageError):
    """No key names this subject: nothing of theirs was changed, or the key is destroyed."""

    code = "subject_unknown"


class NotSigned(TendError):
    """No checkpoint covers yet what evidence is asked for."""

    code = "not_signed"


class NotPrunable(TendError):
    """These entries may not go: too young, held, in use, or not proven to be elsewhere."""

    code = "not_prunable"


class SubjectHeld(TendError):
    """A legal hold protects the subject, and so what proves what became of its records."""

    code = "subject_held"


class BatchesAtWork(TendError):
    """A batch that began before a hold did not end in time."""

    code = "batches_at_work"


class HoldMatchesNothing(TendError):
    """No record belongs to the subject of a new hold, which was most likely mistyped."""

    code = "hold_matches_nothing"


class Draining(TendError):
    """This process was asked to stop; what it was at is given back."""

    code = "draining"


class ClaimLost(TendError):
    """Another attempt owns this chunk now, or the run was ended."""

    code = "claim_lost"


class LogAltered(TendError):
    """The audit log is not the one that was signed."""

    code = "log_altered"


class AnchorError(TendError):
    """The store outside the database that keeps checkpoints cannot be written or read."""

    code = "anchor"
