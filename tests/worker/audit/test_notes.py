from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from worker.audit import notes

# The example of the C2SP specification, signed by somebody else's program.
NOTE = (
    "This is an example message.\n\n\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
VERIFIER = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NAME = "example.com/foo"
KEY = Ed25519PublicKey.from_public_bytes(b64decode(VERIFIER.rpartition("+")[2])[1:])
OURS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_a_note_of_the_specification_opens_under_its_key() -> None:
    assert notes.opened(NOTE, NAME, KEY) == "This is an example message.\n"
    assert notes.verifier_key(NAME, KEY) == VERIFIER


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(0, 7))
def test_a_note_with_one_bit_changed_does_not_open(place: int, bit: int) -> None:
    altered = bytearray(NOTE.encode())
    altered[place] ^= 1 << bit
    assert notes.opened(altered.decode(errors="replace"), NAME, KEY) is None


@given(st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=80))
def test_what_is_signed_opens_under_its_own_name_and_key_alone(line: str) -> None:
    text = line + "\n"
    note = notes.sign(text, "tend/test/1", OURS)
    assert notes.opened(note, "tend/test/1", OURS.public_key()) == text
    assert notes.opened(note, "tend/test/2", OURS.public_key()) is None
    assert notes.opened(note, "tend/test/1", KEY) is None


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n\u2014 example.com/foo\n",
        "text\n\n\u2014 example.com/foo AAAA\n",
        "text\n\n\u2014 example.com/foo !!!!\n",
        NOTE.replace("\u2014", "-"),
    ],
)
def test_what_is_no_note_does_not_open(note: str) -> None:
    assert notes.opened(note, NAME, KEY) is None


def test_a_second_signature_does_no_harm() -> None:
    more = NOTE + f"\u2014 another.example {b64encode(b'x' * 68).decode()}\n"
    assert notes.opened(more, NAME, KEY) == "This is an example message.\n"
