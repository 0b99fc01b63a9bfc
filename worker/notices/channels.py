"""Where notices go: any service that Apprise knows, each by a URL that is a secret."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from apprise import Apprise, NotifyType
from pydantic import SecretStr

from worker.errors import SettingError
from worker.settings import Settings

SECONDS = 10


@dataclass(frozen=True)
class Channel:
    """One service; its URL never appears in a log, and `digest` names it instead."""

    url: str = field(repr=False)

    @property
    def digest(self) -> str:
        return sha256(self.url.encode()).hexdigest()[:16]

    def send(self, title: str, text: str, *, urgent: bool) -> bool:
        """Whether the service took it; what it says otherwise may quote the URL, and is dropped."""
        service = Apprise()
        kind = NotifyType.FAILURE if urgent else NotifyType.INFO
        if not service.add(self.url):
            return False
        return bool(service.notify(text, title, kind, timeout=SECONDS))


@dataclass(frozen=True)
class Channels:
    """Who is told: everybody, and those to whom an alert escalates that nobody acknowledged."""

    everybody: Sequence[Channel] = ()
    escalation: Sequence[Channel] = ()

    @property
    def all(self) -> Sequence[Channel]:
        """Each once."""
        return tuple(dict.fromkeys((*self.everybody, *self.escalation)))

    def of(self, *, escalates: bool) -> Sequence[Channel]:
        """Where a notice goes: without channels to escalate to, everybody is told again."""
        return self.escalation if escalates and self.escalation else self.everybody


def channels_of(settings: Settings) -> Channels:
    """Raises `SettingError` when Apprise knows no service for a URL."""
    return Channels(
        everybody=_channels(settings.notify_urls, "TEND_NOTIFY_URLS"),
        escalation=_channels(settings.escalate_urls, "TEND_ESCALATE_URLS"),
    )


def _channels(secret: SecretStr | None, variable: str) -> Sequence[Channel]:
    urls = [] if secret is None else secret.get_secret_value().split()
    for position, url in enumerate(urls, start=1):
        if not Apprise().add(url):
            raise SettingError(
                f"{variable} holds a URL at position {position} that Apprise knows no "
                "service for; its documentation lists how each is written."
            )
    return tuple(Channel(url) for url in urls)
