from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr

from worker.audit.signing import Signer
from worker.errors import SettingError
from worker.settings import Settings

OLD = b64encode(b"1" * 32).decode()
NEW = b64encode(b"2" * 32).decode()
TEXT = "some text\n"


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("TEND_AUDIT_KEYS", "TEND_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "tend" / "development.audit-keys"


def test_the_first_key_signs_and_every_one_verifies() -> None:
    before, after = Signer.of("test", OLD), Signer.of("test", f"{NEW}, {OLD}")
    origin = before.origin(1)
    old, new = before.sign(TEXT, origin), after.sign(TEXT, origin)
    assert (after.opened(old, origin), after.opened(new, origin)) == (TEXT, TEXT)
    assert before.opened(new, origin) is None
    assert before.public_keys(origin) == after.public_keys(origin)[1:]


def test_a_signature_of_another_environment_or_generation_does_not_count() -> None:
    note = Signer.of("test", OLD).sign(TEXT, "tend/test/1")
    assert Signer.of("production", OLD).opened(note, "tend/production/1") is None
    assert Signer.of("test", OLD).opened(note, "tend/test/2") is None


def test_in_development_a_key_is_made_once_and_only_the_owner_can_read_it(state: Path) -> None:
    first, second = (Signer.from_settings(Settings()).public_keys("x") for _ in range(2))
    assert first == second
    assert state.stat().st_mode & 0o777 == 0o600


def test_elsewhere_a_key_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"TEND_AUDIT_KEYS is not set: .*openssl rand"):
        Signer.from_settings(Settings(env="staging"))
    kept = Signer.from_settings(Settings(env="staging", audit_keys=SecretStr(NEW)))
    assert kept.public_keys("x") == Signer.of("other", NEW).public_keys("x")
    monkeypatch.setenv("TEND_AUDIT_KEYS", "c2hvcnQ=")
    with pytest.raises(SettingError, match="holds no 32 bytes in base64 at position 1"):
        Settings.load()


@pytest.mark.parametrize("content", ["", "no key"])
def test_a_key_file_that_was_damaged_is_not_made_anew(state: Path, content: str) -> None:
    state.parent.mkdir()
    state.write_text(content)
    with pytest.raises(SettingError, match=r"does not hold the audit log's key"):
        Signer.from_settings(Settings())
    assert state.read_text() == content


def test_no_key_shows_when_a_signer_is_printed() -> None:
    assert OLD not in repr(Signer.of("test", OLD))
