"""What opens a store, and when it dies."""

from datetime import datetime
from typing import Any

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    SecretStr,
    ValidationError,
    field_serializer,
)

from jobs.pos_sync.failures import Kind, SyncFailed


class Credentials(BaseModel):
    """The secrets of one store; which of them a provider needs, its connector says."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    access_token: SecretStr | None = None
    refresh_token: SecretStr | None = None
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    seller_id: str | None = None
    marketplace_id: str | None = None
    access_expires: AwareDatetime | None = None
    refresh_expires: AwareDatetime | None = None
    secret_expires: AwareDatetime | None = None

    @field_serializer("access_token", "refresh_token", "client_id", "client_secret")
    def _plain(self, value: SecretStr | None) -> str | None:
        """In clear, for what is encrypted right away; never printed."""
        return None if value is None else value.get_secret_value()

    def need(self, name: str) -> str:
        """One of them; raises `NO_CREDENTIALS`, naming what is missing."""
        value = getattr(self, name)
        if value is None:
            raise SyncFailed(Kind.NO_CREDENTIALS, "credentials", f"{name} is missing")
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    @property
    def dies(self) -> datetime | None:
        """When they stop working unless a person does something."""
        lasting = [self.refresh_expires, self.secret_expires]
        if self.refresh_token is None:
            lasting.append(self.access_expires)
        return min((moment for moment in lasting if moment is not None), default=None)

    def with_answer(self, **changes: Any) -> "Credentials":
        """These, with what a token refresh changed."""
        return Credentials.model_validate(self.model_dump() | changes)


def credentials_of(text: str, needs: tuple[str, ...]) -> Credentials:
    """Read what a person typed or piped: a JSON object. Its values are in no error."""
    try:
        found = Credentials.model_validate_json(text)
    except ValidationError as error:
        where = ", ".join(
            ".".join(str(part) for part in one["loc"]) or "the text"
            for one in error.errors(include_url=False, include_input=False)
        )
        sentence = f"not usable: {where}; give one JSON object with {', '.join(needs)}"
    else:
        missing = [name for name in needs if getattr(found, name) is None]
        if not missing:
            return found
        sentence = f"missing: {', '.join(missing)}"
    raise SyncFailed(Kind.NO_CREDENTIALS, "credentials", sentence)
