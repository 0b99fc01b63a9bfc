"""Signed notes as C2SP defines them: a text, a blank line, and one line for each signature."""

import hashlib
from base64 import b64decode, b64encode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_ID_BYTES = 4


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The note: `text`, which ends with a newline, signed under `name`."""
    signature = key_id(name, key.public_key()) + key.sign(text.encode())
    return f"{text}\n\u2014 {name} {b64encode(signature).decode()}\n"


def opened(note: str, name: str, key: Ed25519PublicKey) -> str | None:
    """The text, if this key signed it under this name; else None."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        return None
    text += "\n"
    wanted = key_id(name, key)
    for line in lines[:-1].split("\n"):
        try:
            dash, signer, encoded = line.split(" ")
            signature = b64decode(encoded, validate=True)
        except ValueError:
            return None
        if b64encode(signature).decode() != encoded:
            return None
        if dash == "\u2014" and signer == name and signature[:_ID_BYTES] == wanted:
            return text if _holds(key, signature[_ID_BYTES:], text) else None
    return None


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """Four bytes that tell which key of a name signed."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + _raw(key)).digest()[:_ID_BYTES]


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """The public key as a text that names whom it belongs to: name, id and key."""
    return f"{name}+{key_id(name, key).hex()}+{b64encode(_ED25519 + _raw(key)).decode()}"


def _holds(key: Ed25519PublicKey, signature: bytes, text: str) -> bool:
    try:
        key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes_raw()
