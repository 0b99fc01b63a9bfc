"""Driver errors turned into Tend's own, without the driver's text, which carries values."""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from worker.errors import (
    DeadlineExceeded,
    TargetConflict,
    TargetError,
    TargetRefused,
    TargetUnreachable,
)

_AUTHENTICATION_FAILED = 18
UNAUTHORIZED = 13
_MAX_TIME_EXPIRED = 50
_NO_SUCH_TRANSACTION = 251
_INTERRUPTED = 11601  # somebody ended the session: the fence says whether the batch may try again


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise `TargetError`s in place of the driver's; `where` names server and collection."""
    try:
        yield
    except PyMongoError as error:
        raise translate(error, where) from error


def translate(error: PyMongoError, where: str) -> TargetError:
    if error.timeout and not isinstance(error, ServerSelectionTimeoutError):
        return DeadlineExceeded(f"{where} took longer than allowed; it is tried again later.")
    if isinstance(error, OperationFailure):
        return _of_server(error, where)
    if isinstance(error, ConnectionFailure | NetworkTimeout):
        return TargetUnreachable(f"{where} does not answer; check the server and TEND_MONGO_URL.")
    if isinstance(error, ConfigurationError):
        return TargetError(f"{where} cannot be used with this URL; check TEND_MONGO_URL.")
    return TargetError(f"{where} failed with {type(error).__name__}; see the server's log.")


def _of_server(error: OperationFailure, where: str) -> TargetError:
    if error.code == _AUTHENTICATION_FAILED:
        return TargetRefused(f"{where} refused the user or password in TEND_MONGO_URL.")
    if error.code == UNAUTHORIZED:
        return TargetRefused(
            f"{where} does not allow this user the operation; grant it the roles it needs."
        )
    if error.code == _MAX_TIME_EXPIRED:
        return DeadlineExceeded(f"{where} took longer than allowed; it is tried again later.")
    ended = error.code in {_NO_SUCH_TRANSACTION, _INTERRUPTED}
    if ended or error.has_error_label("TransientTransactionError"):
        return TargetConflict(f"{where} changed in the same moment; the batch is tried again.")
    if error.has_error_label("RetryableWriteError"):
        return TargetUnreachable(f"{where} is changing its primary; it is tried again later.")
    name = (error.details or {}).get("codeName", "unknown")
    return TargetError(f"{where} refused the operation: code {error.code} ({name}).")
