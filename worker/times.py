"""Moments as a person types them, and lengths of time as they read them."""

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


def length(seconds: float) -> str:
    """A length of time in its two largest units, such as `6d 4h`; minus means it has passed."""
    parts: list[str] = []
    left = int(abs(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts or unit == "s":
            parts.append(f"{count}{unit}")
    return ("-" if seconds < 0 else "") + " ".join(parts[:2])
