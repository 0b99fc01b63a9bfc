"""Where notices go: any service that Apprise knows, each by a URL that is a secret."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from apprise import Apprise, NotifyType

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


def channels_of(settings: Settings) -> Sequence[Channel]:
    """Raises `SettingError` when Apprise knows no service for a URL."""
    if settings.notify_urls is None:
        return ()
    urls = settings.notify_urls.get_secret_value().split()
    for position, url in enumerate(urls, start=1):
        if not Apprise().add(url):
            raise SettingError(
                f"TEND_NOTIFY_URLS holds a URL at position {position} that Apprise knows no "
                "service for; its documentation lists how each is written."
            )
    return tuple(Channel(url) for url in urls)
