import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.errors import ArchiveError, SettingError
from worker.keys import Keyring, RunKey
from worker.settings import Settings

NAME = "r-1042/3.1.0.bson.zst"


@pytest.fixture
def development(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An installation without keys; the file in which they will be kept."""
    monkeypatch.delenv("TEND_KEYS", raising=False)
    monkeypatch.delenv("TEND_ENV", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "tend" / "development.keys"


def keyring(*keys: bytes) -> Keyring:
    return Keyring.from_settings(Settings(keys=SecretStr(b", ".join(keys).decode())))


@given(st.binary(max_size=5_000), st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_is_sealed_opens_unchanged_under_its_name(plain: bytes, name: str) -> None:
    key = RunKey.new()
    assert key.open(key.seal(plain, name), name) == plain


def test_sealing_twice_gives_different_bytes_that_hide_their_content() -> None:
    key, plain = RunKey.new(), b"session of a person" * 50
    first, second = key.seal(plain, NAME), key.seal(plain, NAME)
    assert first != second
    assert b"person" not in first
    assert len(first) < len(plain)


@given(st.data())
def test_one_flipped_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    key = RunKey.new()
    sealed = bytearray(key.seal(b"before-image" * 20, NAME))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(ArchiveError, match=NAME):
        key.open(bytes(sealed), NAME)


@pytest.mark.parametrize("length", [0, 5, 12, 20])
def test_an_object_cut_short_is_noticed(length: int) -> None:
    key = RunKey.new()
    with pytest.raises(ArchiveError, match="cut short"):
        key.open(key.seal(b"before-image", NAME)[:length], NAME)


def test_an_object_does_not_open_under_the_name_of_another() -> None:
    key = RunKey.new()
    with pytest.raises(ArchiveError, match="r-1042/4"):
        key.open(key.seal(b"before-image", NAME), "r-1042/4.1.0.bson.zst")


def test_an_object_does_not_open_with_the_key_of_another_run() -> None:
    with pytest.raises(ArchiveError, match="another key"):
        RunKey.new().open(RunKey.new().seal(b"before-image", NAME), NAME)


@pytest.mark.parametrize("flaw", ["no size", "more than its size"])
def test_a_frame_that_is_not_honest_about_its_size_is_refused(flaw: str) -> None:
    key, nonce = RunKey.new(), bytes(12)
    compressor = zstandard.ZstdCompressor(write_content_size=flaw != "no size")
    frame = compressor.compress(b"x" * 100_000)
    if flaw != "no size":
        frame += compressor.compress(b"y" * 100_000)
    sealed = nonce + AESGCM(key.secret).encrypt(nonce, frame, NAME.encode())
    with pytest.raises(ArchiveError):
        key.open(sealed, NAME)


def test_a_digest_is_equal_for_equal_data_of_one_run_only() -> None:
    key = RunKey.new()
    assert key.digest(b"keys") == key.digest(b"keys") != key.digest(b"key")
    assert key.digest(b"keys") != RunKey.new().digest(b"keys")
    # RFC 4231, test case 2, with its key padded by the zero bytes that HMAC adds itself
    assert RunKey(b"Jefe".ljust(32, b"\0")).digest(b"what do ya want for nothing?") == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_a_run_key_does_not_show_when_printed() -> None:
    key = RunKey(b"0123456789abcdef0123456789abcdef")
    assert "0123" not in f"{key!r} {key} {[key]}"


def test_after_a_rotation_old_runs_open_and_new_ones_no_longer_use_the_old_key() -> None:
    old, new, run_key = Fernet.generate_key(), Fernet.generate_key(), RunKey.new()
    before = keyring(old).wrap(run_key)
    rotated = keyring(new, old)
    assert rotated.unwrap(before) == run_key
    assert keyring(new).unwrap(rotated.wrap(run_key)) == run_key
    with pytest.raises(ArchiveError, match="TEND_KEYS"):
        keyring(new).unwrap(before)


def test_an_altered_wrapped_key_is_refused() -> None:
    ring = keyring(Fernet.generate_key())
    wrapped = bytearray(ring.wrap(RunKey.new()))
    wrapped[40] ^= 1
    with pytest.raises(ArchiveError):
        ring.unwrap(bytes(wrapped))


def test_development_keys_are_made_once_and_only_the_owner_can_read_them(
    development: Path,
) -> None:
    run_key = RunKey.new()
    wrapped = Keyring.from_settings(Settings.load()).wrap(run_key)
    assert Keyring.from_settings(Settings.load()).unwrap(wrapped) == run_key
    assert development.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in development.parent.iterdir()] == ["development.keys"]


def test_all_who_make_the_development_keys_at_once_agree(development: Path) -> None:
    settings, start = Settings.load(), threading.Barrier(16)

    def race() -> bytes:
        start.wait(10)
        return Keyring.from_settings(settings).wrap(RunKey(b"k" * 32))

    with ThreadPoolExecutor(16) as racers:
        wrapped = [race.result() for race in [racers.submit(race) for _ in range(16)]]
    ring = Keyring.from_settings(settings)
    assert {ring.unwrap(one).secret for one in wrapped} == {b"k" * 32}
    assert [path.name for path in development.parent.iterdir()] == ["development.keys"]


def test_a_damaged_development_key_file_is_never_replaced(development: Path) -> None:
    development.parent.mkdir(parents=True)
    development.write_text("not a key")
    with pytest.raises(SettingError, match=r"development\.keys does not hold archive keys"):
        Keyring.from_settings(Settings.load())
    assert development.read_text() == "not a key"


def test_development_keys_that_cannot_be_kept_are_an_error(development: Path) -> None:
    development.parent.write_text("a file where the folder should be")
    with pytest.raises(SettingError, match="set TEND_KEYS"):
        Keyring.from_settings(Settings.load())


def test_no_other_environment_makes_keys_of_its_own(
    development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEND_ENV", "staging")
    with pytest.raises(SettingError, match="TEND_KEYS is not set"):
        Keyring.from_settings(Settings.load())
    assert not development.exists()
