import os
import traceback
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr, ValidationError

import policies
from tests.worker.audit import keeping
from worker.errors import SettingError
from worker.settings import VARIABLES, Settings

TOKEN = "tend_1_" + "0" * 64
DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
SECRET = "hunter2"  # noqa: S105 - no password, but what stands for one in these tests


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("TEND_") or variable == "SENTRY_DSN":
            monkeypatch.delenv(variable)


def refusal(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as refused:
        Settings.load()
    told = "".join(traceback.format_exception(refused.value))
    assert value not in told
    return str(refused.value)


def test_nothing_is_required_before_it_is_needed() -> None:
    settings = Settings.load()
    assert (settings.env, settings.log, settings.mongo_url) == ("development", "console", None)


def test_the_policies_that_come_with_tend_are_used_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Settings.load().policy_directories == (Path(policies.__path__[0]),)
    second = tmp_path / "second"
    second.mkdir()
    monkeypatch.setenv("TEND_POLICY_DIR", f"{tmp_path}{os.pathsep}{second}")
    assert Settings.load().policy_directories == (tmp_path, second)


def test_every_other_environment_than_development_logs_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEND_ENV", "staging")
    assert Settings.load().log == "json"
    monkeypatch.setenv("TEND_LOG", "console")
    assert Settings.load().log == "console"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize("variable", ["TEND_DATABASE_URL", "TEND_SQL_URL"])
def test_a_postgresql_url_names_the_installed_driver(
    monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    monkeypatch.setenv(variable, f"{scheme}://tend:{SECRET}@db/tend")
    settings = Settings.load()
    url = settings.need("database_url" if variable == "TEND_DATABASE_URL" else "sql_url")
    assert url == f"postgresql+psycopg://tend:{SECRET}@db/tend"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEND_DATABASE_URL", f"mysql://tend:{SECRET}@db/tend"),
        ("TEND_DATABASE_URL", f"postgresql://tend:{SECRET}@db:port/tend"),
        ("TEND_DATABASE_URL", "sqlite://"),
        ("TEND_SQL_URL", SECRET),
        ("TEND_SQL_READ_URL", f"mysql://tend:{SECRET}@db/tend"),
        ("TEND_REDIS_URL", f"http://:{SECRET}@redis/5"),
        ("TEND_REDIS_URL", f"redis://:{SECRET}@redis:port/5"),
        ("TEND_REDIS_URL", "redis:///5"),
        ("TEND_MONGO_URL", f"mongodb://tend:{SECRET}@mongo"),
        ("TEND_MONGO_URL", f"mongodb+srv://tend:{SECRET}@mongo.example/?tls=true"),
        ("TEND_MONGO_URL", f"mongodb://tend:{SECRET}%@mongo/ordernimbus"),
        ("TEND_MONGO_URL", f"mongodb://tend:{SECRET}@mongo/ordernimbus?replicaset"),
        ("TEND_MONGO_READ_URL", f"postgres://tend:{SECRET}@mongo/ordernimbus"),
        ("TEND_KEYS", f"{SECRET},{SECRET}"),
        ("TEND_POLICY_DIR", f"/nowhere/{SECRET}"),
        ("TEND_OIDC_ISSUER", f"http://login.example/{SECRET}"),
        ("TEND_OIDC_ISSUER", f"https://tend:{SECRET}@login.example"),
        ("TEND_OIDC_ISSUER", f"https://login.example/?x={SECRET}"),
        ("TEND_OIDC_SCOPES", f"profile {SECRET}"),
        ("TEND_ENV", "Staging 2"),
        ("TEND_LOG", "logfmt"),
        ("SENTRY_DSN", f"https://sentry.example/{SECRET}"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    sentence = refusal(monkeypatch, variable, value)
    assert sentence.startswith(f"{variable} ")
    assert sentence.endswith(".")
    assert "; an example is " in sentence


@pytest.mark.parametrize(
    "url",
    [
        f"mongodb+srv://tend:{SECRET}@cluster.example/ordernimbus?tls=true",
        f"mongodb://tend:{SECRET}@one:27017,two:27018/ordernimbus?replicaSet=rs0",
        f"mongodb://tend:{SECRET}@docdb/ordernimbus?tls=true&replicaSet=rs0&retryWrites=false",
    ],
)
def test_a_mongodb_url_with_its_database_is_taken_as_it_is(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TEND_MONGO_URL", url)
    assert Settings.load().need("mongo_url") == url


def test_planning_from_another_database_than_the_one_to_change_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEND_MONGO_URL", "mongodb://mongo/ordernimbus")
    sentence = refusal(monkeypatch, "TEND_MONGO_READ_URL", "mongodb://reader@mongo/staging")
    assert sentence.startswith("TEND_MONGO_READ_URL names another database")


@pytest.mark.parametrize("url", ["postgres://reader@standby/staging", "sqlite:///peakbeyond"])
def test_planning_from_another_sql_database_is_refused_too(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("TEND_SQL_URL", "postgresql://tend@primary/peakbeyond")
    sentence = refusal(monkeypatch, "TEND_SQL_READ_URL", url)
    assert sentence.startswith("TEND_SQL_READ_URL names another database than TEND_SQL_URL")
    monkeypatch.setenv("TEND_SQL_READ_URL", "postgres://reader@standby/peakbeyond")
    assert Settings.load().sql_read_url is not None


def test_a_missing_setting_says_what_to_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEND_MONGO_URL", "")
    with pytest.raises(SettingError, match=r"^TEND_MONGO_URL is not set: .*, such as mongodb://"):
        Settings.load().need("mongo_url")


def test_production_needs_its_keys_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEND_ENV", "production")
    with pytest.raises(SettingError, match=r"^TEND_KEYS is not set: .*; TEND_ENV=production"):
        Settings.load()
    monkeypatch.setenv("TEND_KEYS", Fernet.generate_key().decode())
    with pytest.raises(SettingError, match=r"^TEND_AUDIT_KEYS is not set: .*; TEND_ENV=production"):
        Settings.load()
    monkeypatch.setenv("TEND_AUDIT_KEYS", keeping.KEY)
    assert Settings.load().env == "production"


def test_a_login_provider_needs_a_client_an_address_and_somebody_to_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEND_OIDC_ISSUER", "https://login.example/staff")
    for variable, value in {
        "TEND_OIDC_CLIENT_ID": "tend",
        "TEND_OIDC_CLIENT_SECRET": SECRET,
        "TEND_CONSOLE_URL": "https://tend.example",
    }.items():
        with pytest.raises(SettingError, match=f"^{variable} is not set: .*; TEND_OIDC_ISSUER"):
            Settings.load()
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=r"^TEND_OIDC_ISSUER lets nobody in: .*TEND_OIDC_ADMINS"):
        Settings.load()
    monkeypatch.setenv("TEND_OIDC_VIEWERS", "staff")
    settings = Settings.load()
    assert settings.oidc_viewers == "staff"
    assert SECRET not in f"{settings!r} {settings.model_dump_json()}"


def test_a_misspelt_variable_is_refused_with_the_likely_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "did you mean TEND_MONGO_URL?" in refusal(monkeypatch, "TEND_MONGO_URI", SECRET)


@pytest.mark.parametrize("variable", ["TEND_ANCHOR_URL"])
def test_variables_that_other_parts_read_are_known(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "x")
    assert Settings.load().env == "development"


def test_no_secret_shows_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Fernet.generate_key().decode()
    for variable, value in {
        "TEND_DATABASE_URL": f"postgresql://tend:{SECRET}@db/tend",
        "TEND_REDIS_URL": f"redis://:{SECRET}@redis/5",
        "TEND_MONGO_URL": f"mongodb://tend:{SECRET}@mongo/ordernimbus",
        "TEND_MONGO_READ_URL": f"mongodb://reader:{SECRET}@mongo/ordernimbus",
        "TEND_SQL_URL": f"postgresql://tend:{SECRET}@db/tend",
        "TEND_SQL_READ_URL": f"postgresql://reader:{SECRET}@db/tend",
        "TEND_ARCHIVE_URL": f"ftp://tend:{SECRET}@store/tend",
        "TEND_KEYS": key,
        "TEND_AUDIT_KEYS": keeping.KEY,
        "TEND_TOKEN": TOKEN,
        "SENTRY_DSN": f"https://{SECRET}@sentry.example/1",
    }.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    printed = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert SECRET not in printed
    assert key not in printed
    assert keeping.KEY not in printed
    assert TOKEN not in printed


def test_settings_given_by_name_are_checked_alike_and_cannot_be_changed() -> None:
    settings = Settings(mongo_url=SecretStr("mongodb://mongo/ordernimbus"))
    with pytest.raises(ValidationError, match="frozen"):
        settings.env = "production"  # type: ignore[misc] # the refusal is what is tested
    with pytest.raises(ValidationError) as refused:
        Settings(mongo_url=SecretStr(f"mongodb://tend:{SECRET}@mongo"))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("variable", [name for name, field in VARIABLES.items() if field])
def test_the_documentation_has_a_row_for_every_setting(variable: str) -> None:
    assert f"\n| `{variable}` |" in DOCUMENT.read_text()
