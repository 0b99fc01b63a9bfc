"""Settings, from the environment alone. `docs/settings.md` lists them.

A value never appears in an error: it may hold a password.
"""

import difflib
import os
import re
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import PydanticBaseSettingsSource as Source
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

import policies
from worker.errors import SettingError

NEW_KEY = (
    "python -c 'from cryptography.fernet import Fernet as F; print(F.generate_key().decode())'"
)
NEW_AUDIT_KEY = "openssl rand -base64 32"
ED25519_SEED_BYTES = 32
_MAX_PORT = 65_535

TOKEN = re.compile(r"tend_(\d{1,18})_([0-9a-f]{64})")
"""A token: the number of its row, and 256 random bits."""


def _sql(secret: SecretStr) -> SecretStr:
    scheme, separator, rest = secret.get_secret_value().partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg"
    try:
        url = make_url(f"{scheme}{separator}{rest}")
    except (ArgumentError, ValueError):
        raise ValueError("is not a database URL") from None
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("must name a file, since a database in memory ends with its process")
    return SecretStr(f"{scheme}{separator}{rest}")


def _redis(secret: SecretStr) -> SecretStr:
    try:
        url = urlsplit(secret.get_secret_value())
        complete = url.path if url.scheme == "unix" else url.hostname and url.port != 0
    except ValueError:
        complete = None
    if not complete or url.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be a redis://, rediss:// or unix:// URL")
    return secret


def _mongo(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    try:
        database = mongo_database(secret.get_secret_value())
    except (PyMongoError, ValueError, TypeError, OSError):
        raise ValueError(
            "is not a URL that the MongoDB driver accepts; check its hosts and options, and that "
            "user and password are percent-encoded"
        ) from None
    if not database:
        raise ValueError("must name the database after the host")
    return secret


def mongo_database(url: str) -> str | None:
    """The database that a MongoDB URL names, without asking DNS or a server."""
    if url.startswith("mongodb+srv://"):
        return urlsplit(url).path.strip("/")
    database: str | None = parse_uri(url)["database"]
    return database


def sql_database(url: str) -> tuple[str, str | None]:
    """The kind of database that a SQL URL names, and which one on its server."""
    made = make_url(url)
    return made.get_backend_name(), made.database


def _keys(secret: SecretStr) -> SecretStr:
    for position, key in enumerate(secret.get_secret_value().split(","), start=1):
        try:
            Fernet(key.strip())
        except ValueError:
            raise ValueError(f"holds no Fernet key at position {position}") from None
    return secret


def _audit_keys(secret: SecretStr) -> SecretStr:
    for position, key in enumerate(secret.get_secret_value().split(","), start=1):
        try:
            seed = b64decode(key.strip(), validate=True)
        except ValueError:
            seed = b""
        if len(seed) != ED25519_SEED_BYTES:
            raise ValueError(f"holds no 32 bytes in base64 at position {position}")
    return secret


def _token(secret: SecretStr) -> SecretStr:
    if not TOKEN.fullmatch(secret.get_secret_value()):
        raise ValueError("holds no token; one begins with tend_ and has 64 digits at its end")
    return secret


def _folders(paths: str) -> str:
    for position, path in enumerate(_split(paths), start=1):
        if not path.is_dir():
            raise ValueError(f"names a folder at position {position} that does not exist")
    return paths


def _split(paths: str) -> tuple[Path, ...]:
    return tuple(Path(path) for path in paths.split(os.pathsep) if path)


def _urls(secret: SecretStr) -> SecretStr:
    for position, url in enumerate(secret.get_secret_value().split(), start=1):
        if "://" not in url:
            raise ValueError(f"holds no URL at position {position}")
    return secret


def _console(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("must be a http:// or https:// address without a user")
    return url.rstrip("/")


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    if not (is_private(url) and parts.hostname) or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a https:// address without a user and a query")
    return url


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}
    )


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise ValueError("must be a host and a port with a colon between them")
    return text


def _dsn(secret: SecretStr) -> SecretStr:
    url = urlsplit(secret.get_secret_value())
    if not (url.scheme in ("http", "https") and url.username and url.hostname and url.path[1:]):
        raise ValueError("is not the DSN of a Sentry project")
    return secret


SqlUrl = Annotated[SecretStr, AfterValidator(_sql)]
MongoUrl = Annotated[SecretStr, AfterValidator(_mongo)]


class Settings(BaseSettings):
    """Everything the environment decides; the description of each field is what to put there."""

    model_config = SettingsConfigDict(
        env_prefix="TEND_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=True,
    )

    env: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = Field(
        default="development",
        description="the environment, in small letters, digits and hyphens",
        examples=["production"],
    )
    database_url: SqlUrl | None = Field(
        default=None,
        description="the control database, SQLite or PostgreSQL",
        examples=["postgresql://tend@db.internal/tend"],
    )
    database_owner_url: SqlUrl | None = Field(
        default=None,
        description="the control database for the owner of its tables, who migrates them",
        examples=["postgresql://tend-owner@db.internal/tend"],
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis)] | None = Field(
        default=None,
        description="a Redis database of Tend's own, which wakes the workers",
        examples=["redis://redis.internal:6379/5"],
    )
    mongo_url: MongoUrl | None = Field(
        default=None,
        description="the MongoDB to tend, with the database name",
        examples=["mongodb://tend@mongo.internal/ordernimbus?replicaSet=rs0"],
    )
    mongo_read_url: MongoUrl | None = Field(
        default=None,
        description="the same database for a user who cannot write, used for planning",
        examples=["mongodb://tend-reader@mongo.internal/ordernimbus?replicaSet=rs0"],
    )
    sql_url: SqlUrl | None = Field(
        default=None,
        description="the SQL database to tend, SQLite or PostgreSQL",
        examples=["postgresql://tend@db.internal/peakbeyond"],
    )
    sql_read_url: SqlUrl | None = Field(
        default=None,
        description="the same database for a user who cannot write, used for planning",
        examples=["postgresql://tend-reader@db.internal/peakbeyond"],
    )
    archive_url: SecretStr | None = Field(
        default=None,
        description="a folder or an object store that every worker sees",
        examples=["s3://tend-archive/production"],
    )
    keys: Annotated[SecretStr, AfterValidator(_keys)] | None = Field(
        default=None,
        description="comma-separated Fernet keys, of which the first seals and all open",
        examples=[f"the output of: {NEW_KEY}"],
    )
    audit_keys: Annotated[SecretStr, AfterValidator(_audit_keys)] | None = Field(
        default=None,
        description="comma-separated signing keys of the audit log, of which the first signs and "
        "all verify",
        examples=[f"the output of: {NEW_AUDIT_KEY}"],
    )
    anchor_url: SecretStr | None = Field(
        default=None,
        description="a folder or an object store apart from the control database, for signed "
        "checkpoints of the audit log",
        examples=["s3://tend-anchors/production"],
    )
    policy_dir: Annotated[str, AfterValidator(_folders)] = Field(
        default=policies.__path__[0],
        description=f"the folders with policy files, separated by '{os.pathsep}'",
        examples=["policies"],
    )
    token: Annotated[SecretStr, AfterValidator(_token)] | None = Field(
        default=None,
        description="the token of the person who types the commands",
        examples=["what `tend token create` printed"],
    )
    log: Literal["json", "console"] = Field(
        default_factory=lambda data: "console" if data["env"] == "development" else "json",
        description="how log lines look, json or console",
        examples=["json"],
    )
    notify_urls: Annotated[SecretStr, AfterValidator(_urls)] | None = Field(
        default=None,
        description="Apprise URLs, separated by spaces, of those who are told of what happens",
        examples=["mailtos://user:password@mail.internal?to=security@example.com"],
    )
    escalate_urls: Annotated[SecretStr, AfterValidator(_urls)] | None = Field(
        default=None,
        description="Apprise URLs, separated by spaces, of those who are told of alerts that "
        "nobody has acknowledged in time",
        examples=["mailtos://user:password@mail.internal?to=lead@example.com"],
    )
    console_url: Annotated[str, AfterValidator(_console)] | None = Field(
        default=None,
        description="the address at which people reach the console, which alerts link to",
        examples=["https://tend.internal"],
    )
    sentry_dsn: Annotated[SecretStr, AfterValidator(_dsn)] | None = Field(
        default=None,
        validation_alias="SENTRY_DSN",
        description="the DSN of the Sentry project that collects errors",
        examples=["https://key@sentry.internal/1"],
    )
    oidc_issuer: Annotated[str, AfterValidator(_issuer)] | None = Field(
        default=None,
        description="the address of the OpenID Connect provider that lets people in, as it calls "
        "itself",
        examples=["https://login.internal/realms/staff"],
    )
    oidc_client_id: str | None = Field(
        default=None, description="what the provider calls Tend", examples=["tend"]
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None,
        description="the secret that the provider gave Tend",
        examples=["the provider's page of this client"],
    )
    oidc_scopes: Annotated[str, Field(pattern=r"^openid( [!#-\[\]-~]+)*$")] = Field(
        default="openid profile",
        description="what is asked for, beginning with openid",
        examples=["openid profile groups"],
    )
    oidc_name_claim: Annotated[str, Field(min_length=1)] = Field(
        default="preferred_username",
        description="the claim that names a person",
        examples=["email"],
    )
    oidc_role_claim: Annotated[str, Field(min_length=1)] = Field(
        default="groups",
        description="the claim whose values give a role; a dot leads into a claim",
        examples=["realm_access.roles"],
    )
    oidc_viewers: str | None = Field(
        default=None,
        description="the values that make a viewer, with commas between them",
        examples=["staff,auditors"],
    )
    oidc_operators: str | None = Field(
        default=None,
        description="the values that make an operator, with commas between them",
        examples=["data-team"],
    )
    oidc_approvers: str | None = Field(
        default=None,
        description="the values that make an approver, with commas between them",
        examples=["data-leads"],
    )
    oidc_admins: str | None = Field(
        default=None,
        description="the values that make an admin, with commas between them",
        examples=["platform-admins"],
    )

    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None,
        description="the port at which a scheduler or worker answers Prometheus and health checks",
        examples=["9410"],
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="the address that it listens on",
        examples=["0.0.0.0"],  # noqa: S104 - an example for containers
    )
    statsd: Annotated[str, AfterValidator(_host_and_port)] | None = Field(
        default=None,
        description="the host and port of a StatsD that counts operations",
        examples=["127.0.0.1:8125"],
    )

    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]{0,63}$")] | None = Field(
        default=None,
        description="the deployed revision of code and policies, such as a commit",
        examples=["4f2c9d1"],
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in ("keys", "audit_keys"):
            if self.env == "production" and getattr(self, name) is None:
                raise ValueError(f"{not_set(name)[:-1]}; TEND_ENV=production requires it.")
        self._provider_fits_together()
        for kind, url, read_url, database in (
            ("MONGO", self.mongo_url, self.mongo_read_url, mongo_database),
            ("SQL", self.sql_url, self.sql_read_url, sql_database),
        ):
            if url is None or read_url is None:
                continue
            if database(url.get_secret_value()) != database(read_url.get_secret_value()):
                raise ValueError(
                    f"TEND_{kind}_READ_URL names another database than TEND_{kind}_URL; plans "
                    "must be made from the data they will change."
                )
        return self

    def _provider_fits_together(self) -> None:
        if self.oidc_issuer is None:
            return
        for name in ("oidc_client_id", "oidc_client_secret", "console_url"):
            if getattr(self, name) is None:
                raise ValueError(f"{not_set(name)[:-1]}; TEND_OIDC_ISSUER requires it.")
        if not any((self.oidc_viewers, self.oidc_operators, self.oidc_approvers, self.oidc_admins)):
            raise ValueError(
                "TEND_OIDC_ISSUER lets nobody in: put values of the claim "
                f"{self.oidc_role_claim} into TEND_OIDC_VIEWERS, TEND_OIDC_OPERATORS, "
                "TEND_OIDC_APPROVERS or TEND_OIDC_ADMINS."
            )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings gives all by name
        init_settings: Source,
        env_settings: Source,
        dotenv_settings: Source,  # noqa: ARG003 - the environment alone: no file decides
        file_secret_settings: Source,  # noqa: ARG003 - the same
    ) -> tuple[Source, ...]:
        return init_settings, env_settings

    @classmethod
    def load(cls) -> Self:
        """The settings of this process. Raises `SettingError` for the first that is wrong."""
        for variable in sorted(os.environ):
            if variable.startswith("TEND_") and variable not in VARIABLES:
                raise SettingError(_unknown(variable))
        try:
            return cls()
        except ValidationError as error:
            sentence = _sentence(error)
        raise SettingError(sentence)  # outside, so that no traceback leads to the values

    def need(
        self,
        name: Literal[
            "database_url",
            "redis_url",
            "mongo_url",
            "sql_url",
            "archive_url",
            "keys",
            "audit_keys",
        ],
    ) -> str:
        """The setting's value. Raises `SettingError`, which says what to put there, if unset."""
        secret: SecretStr | None = getattr(self, name)
        if secret is None:
            raise SettingError(not_set(name))
        return secret.get_secret_value()

    @property
    def policy_directories(self) -> tuple[Path, ...]:
        return _split(self.policy_dir)


def variable(name: str) -> str:
    """What the environment calls a setting."""
    return "SENTRY_DSN" if name.upper() == "SENTRY_DSN" else f"TEND_{name.upper()}"


VARIABLES = {variable(name): name for name in Settings.model_fields}
"""Every variable that may be set, and the field that it fills."""


def example(name: str) -> str:
    """What a setting may look like."""
    return str((Settings.model_fields[name].examples or [""])[0])


def not_set(name: str) -> str:
    """What to say of a setting that something needs."""
    description = Settings.model_fields[name].description
    return f"{variable(name)} is not set: put {description} there, such as {example(name)}."


def _unknown(variable: str) -> str:
    close = difflib.get_close_matches(variable, VARIABLES, n=1, cutoff=0.75)
    hint = f"did you mean {close[0]}?" if close else "remove it."
    return f"{variable} is no setting of Tend: {hint} docs/settings.md lists them all."


def _sentence(error: ValidationError) -> str:
    first: dict[str, Any] = dict(error.errors(include_url=False, include_input=False)[0])
    what = str(first.get("ctx", {}).get("error", first["msg"]))
    if not first["loc"]:
        return what
    named = variable(str(first["loc"][0]))
    if what.startswith(("String should", "Input should")):
        what = f"is not allowed: {what[0].lower()}{what[1:]}"
    return f"{named} {what}; an example is {example(VARIABLES[named])}."
