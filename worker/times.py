"""Moments as a person types them."""

from datetime import UTC, datetime

from worker.errors import UsageError

TIME = "An ISO time such as 2026-03-01 or 2026-03-01T12:30+01:00; UTC unless it says otherwise."


def moment_of(option: str, text: str) -> datetime:
    """The moment; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text} is no time; write it as 2026-03-01 or 2026-03-01T12:30+01:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
