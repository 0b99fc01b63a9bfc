"""Checks an evidence bundle of Tend, with nothing but Python 3.10 or newer. Read it, then run it:

    python3 -I verify.py                      in the folder that the bundle was unpacked to
    python3 -I verify.py BUNDLE.zip           on the packed bundle
    python3 -I verify.py BUNDLE.zip KEY       with the public key that you had from elsewhere
    python3 -I verify.py RECEIPT.json KEY     on what `tend audit receipt --json` printed

It ends with 0 if all of this holds, else with 1 and one line for each thing that does not:

1. every file is the one that bundle.json names;
2. every checkpoint was signed by the public key;
3. every checkpoint is the Merkle root (RFC 6962) over the first leaves, so that each is a
   beginning of the next: nothing was altered, removed, inserted or put in another order;
4. every entry stands in that tree at its own position, and without a policy's filter none is left
   out between the first and the last;
5. every manifest has the root that its entry says, and every policy text the hash that is its name;
6. the sample is the one that its seed draws, and each item's proof leads to the last checkpoint.

Of a receipt: that a signed checkpoint covers its entries, that each line stands in the manifest of
which they bear the root, and that each is one of the subject whose key the receipt has.

Without a KEY the key in the bundle is believed: then compare it with the one you know.
"""

import base64
import hashlib
import hmac
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Complain = Callable[[str], object]
Point = tuple[int, int, int, int]


class Bundle:
    """The files of a bundle, packed or unpacked."""

    def __init__(self, place: Path) -> None:
        self._folder = place
        self._zip = zipfile.ZipFile(place) if place.is_file() else None

    def names(self) -> list[str]:
        if self._zip is not None:
            return [name for name in self._zip.namelist() if not name.endswith("/")]
        files = [path for path in self._folder.rglob("*") if path.is_file()]
        return [path.relative_to(self._folder).as_posix() for path in files]

    def read(self, name: str) -> bytes:
        if self._zip is not None:
            return self._zip.read(name)
        return (self._folder / name).read_bytes()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def lines(self, name: str) -> Iterator[Any]:
        for line in self.read(name).splitlines():
            yield json.loads(line)


# --- Ed25519, as RFC 8032 writes it: section 5.1 and appendix A -----------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar > 0:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(one: Point, other: Point) -> bool:
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (
        one[1] * other[2] - other[1] * one[2]
    ) % P == 0


def decompress(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if len(encoded) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key made this Ed25519 signature of the message."""
    key, point = decompress(public), decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if BASE is None or key is None or point is None or len(signature) != 64 or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    return equal(multiply(scalar, BASE), add(point, multiply(challenge, key)))


# --- signed notes, as C2SP writes them ------------------------------------------------------


def parsed_key(line: str) -> tuple[str, bytes, bytes]:
    """The name, the id and the public key in `name+id+base64`."""
    name, number, encoded = line.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if raw[:1] != b"\x01" or len(raw) != 33:
        raise ValueError("no Ed25519 key: " + line)
    expected = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if expected.hex() != number:
        raise ValueError("a key whose id is another one's: " + line)
    return name, expected, raw[1:]


def opened(note: str, keys: list[tuple[str, bytes, bytes]]) -> str | None:
    """The text of a note that one of the keys signed."""
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    for line in signatures.splitlines() if blank else []:
        _, name, encoded = line.split(" ")
        raw = base64.b64decode(encoded, validate=True)
        for known, number, public in keys:
            if (known, number) == (name, raw[:4]) and is_signed(public, text.encode(), raw[4:]):
                return text
    return None


def head(note: str, keys: list[tuple[str, bytes, bytes]]) -> tuple[int, bytes]:
    """Size and root of a checkpoint; ValueError if none of the keys signed it."""
    text = opened(note, keys)
    if text is None:
        raise ValueError("a checkpoint is signed by no key: " + note.splitlines()[1])
    _, size, root = text.splitlines()[:3]
    return int(size), base64.b64decode(root)


# --- Merkle trees, as RFC 6962 writes them --------------------------------------------------


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(peaks: list[bytes]) -> bytes:
    if not peaks:
        return hashlib.sha256(b"").digest()
    top = peaks[-1]
    for peak in reversed(peaks[:-1]):
        top = node(peak, top)
    return top


def roots(leaves: list[bytes], sizes: list[int]) -> dict[int, bytes]:
    """The roots over the first so many leaves, for each of these sizes, in one pass."""
    peaks: list[bytes] = []
    found = {0: fold([])}
    wanted = set(sizes)
    for number, given in enumerate(leaves):
        value, rest = given, number
        while rest & 1:
            value = node(peaks.pop(), value)
            rest >>= 1
        peaks.append(value)
        if number + 1 in wanted:
            found[number + 1] = fold(peaks)
    return found


def climbed(value: bytes, position: int, size: int, proof: list[bytes]) -> bytes:
    """The root to which an inclusion proof leads (RFC 9162, 2.1.3.2); empty if it cannot."""
    last = size - 1
    for beside in proof:
        if last == 0:
            return b""
        if position & 1 or position == last:
            value = node(beside, value)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            value = node(value, beside)
        position, last = position >> 1, last >> 1
    return value if last == 0 else b""


# --- the six checks -------------------------------------------------------------------------


def check_files(bundle: Bundle, statement: Any, complain: Complain) -> None:
    for name, digest in statement["files"].items():
        if name not in bundle.names():
            complain(name + " is missing")
        elif hashlib.sha256(bundle.read(name)).hexdigest() != digest:
            complain(name + " is not the file that bundle.json names")
    for name in set(bundle.names()) - set(statement["files"]) - {"bundle.json"}:
        complain(name + " is not named in bundle.json")


def check_checkpoints(
    bundle: Bundle, statement: Any, trusted: str | None, complain: Complain
) -> list[bytes]:
    """Returns the leaves that the last checkpoint covers."""
    text = trusted or bundle.read("keys.txt").decode()
    keys = [parsed_key(line) for line in text.splitlines() if line.strip()]
    raw = bundle.read("leaves.bin")
    leaves = [raw[start : start + 32] for start in range(0, len(raw), 32)]
    signed: list[tuple[int, bytes]] = []
    for one in bundle.lines("checkpoints.jsonl"):
        try:
            signed.append(head(one["note"], keys))
        except ValueError as error:
            complain(str(error))
    computed = roots(leaves, [size for size, _ in signed])
    for size, root in signed:
        if computed.get(size) != root:
            complain(f"the checkpoint over {size} entries is not the root over their leaves")
    if max((size for size, _ in signed), default=-1) != len(leaves):
        complain("no checkpoint covers exactly the leaves in this bundle")
    if statement["log"]["size"] != len(leaves):
        complain("bundle.json speaks of another number of leaves")
    return leaves


def check_entries(
    bundle: Bundle, statement: Any, leaves: list[bytes], complain: Complain
) -> dict[int, Any]:
    """Returns the bodies by their positions."""
    bodies: dict[int, Any] = {}
    last = -1
    for line in bundle.lines("entries.jsonl"):
        position, body = line["position"], line["body"]
        if not last < position < len(leaves) or leaf(body.encode()) != leaves[position]:
            complain(f"entry {position} is not the one that stands there in the log")
            continue
        if statement["filter"]["policy"] is None and bodies and position != last + 1:
            complain(f"entries are left out between {last} and {position}")
        last = position
        bodies[position] = json.loads(body)
    if len(bodies) != statement["entries"]["count"]:
        complain(f"bundle.json speaks of {statement['entries']['count']} entries")
    return bodies


def check_manifests(bundle: Bundle, bodies: dict[int, Any], complain: Complain) -> None:
    for position, body in bodies.items():
        if body["action"] != "chunk_manifest":
            continue
        detail = body["detail"]
        name = "manifests/r-{}.{}.{}.bin".format(body["run"], detail["direction"], detail["chunk"])
        raw = bundle.read(name) if name in bundle.names() else b""
        lines = [leaf(raw[start : start + 32]) for start in range(0, len(raw), 32)]
        found = roots(lines, [len(lines)])[len(lines)].hex()
        if (found, len(lines)) != (detail["root"], detail["lines"]):
            complain(f"{name} is not the manifest of entry {position}")


def check_policies(bundle: Bundle, complain: Complain) -> None:
    for name in bundle.names():
        if name.startswith("policies/") and name.endswith(".json"):
            version = name.rpartition("/")[2][: -len(".json")]
            if hashlib.sha256(bundle.read(name)).hexdigest() != version:
                complain(name + " is not the policy text of that version")


def drawn(seed: str, positions: list[int], count: int) -> list[int]:
    """The positions whose SHA-256 after the seed is smallest: anybody draws the same."""

    def rank(position: int) -> bytes:
        return hashlib.sha256(f"{seed}:{position}".encode()).digest()

    return sorted(sorted(positions, key=rank)[:count])


def check_sample(
    bundle: Bundle, bodies: dict[int, Any], leaves: list[bytes], complain: Complain
) -> None:
    if "sample.json" not in bundle.names():
        return
    sample = bundle.json("sample.json")
    items = {item["position"]: item["proof"] for item in sample["items"]}
    if sorted(items) != drawn(sample["seed"], list(bodies), sample["asked"]):
        complain("the sample is not the one that its seed draws")
    size = len(leaves)
    root = roots(leaves, [size])[size]
    for position, proof in items.items():
        steps = [bytes.fromhex(step) for step in proof]
        if position not in bodies or climbed(leaves[position], position, size, steps) != root:
            complain(f"the proof of the sampled entry {position} does not lead to the log")


def check(place: Path, trusted: str | None, say: Complain) -> int:
    """Says what was looked at and what is off; returns how many things are."""
    faults: list[str] = []
    bundle = Bundle(place)
    statement = bundle.json("bundle.json")
    check_files(bundle, statement, faults.append)
    try:
        leaves = check_checkpoints(bundle, statement, trusted, faults.append)
        bodies = check_entries(bundle, statement, leaves, faults.append)
        check_manifests(bundle, bodies, faults.append)
        check_policies(bundle, faults.append)
        check_sample(bundle, bodies, leaves, faults.append)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        faults.append(f"a file cannot be read: {type(error).__name__}: {error}")
    else:
        for line in told(statement, bodies):
            say(line)
        source = "the key you gave" if trusted else "the key in this bundle, which you must know:"
        say(f"signed by {source}")
        for line in [] if trusted else bundle.read("keys.txt").decode().split():
            say("  " + line)
    for fault in faults:
        say("OFF: " + fault)
    say(f"{len(faults)} things are off" if faults else "nothing is off")
    return len(faults)


# --- receipts -------------------------------------------------------------------------------


def tag(key: bytes, chunk: str, place: str, became: str, number: int) -> str:
    """The first half of a subject's line of this number, from 0, in one manifest."""
    text = f"tag\0{chunk}\0{place}\0{became}\0{number}"
    return hmac.new(key, text.encode(), "sha256").digest()[:16].hex()


def check_change(change: Any, key: bytes, size: int, root: bytes, complain: Complain) -> None:
    what = f"{change['run']} {change['direction']} {change['chunk']}"
    bodies = []
    for entry in change["entries"]:
        steps = [bytes.fromhex(step) for step in entry["proof"]]
        if climbed(leaf(entry["body"].encode()), entry["position"], size, steps) != root:
            complain(f"{what}: an entry does not stand in the log")
        bodies.append(json.loads(entry["body"]))
    manifest, outcome = bodies[0], bodies[1] if len(bodies) > 1 else bodies[0]
    detail = manifest["detail"]
    name = f"{change['run']}/{change['direction']}/{change['chunk']}"
    if name != f"r-{manifest['run']}/{detail['direction']}/{detail['chunk']}":
        complain(f"{what}: the entry is of another manifest")
    if change["at"] != outcome["at"] or outcome["run"] != manifest["run"]:
        complain(f"{what}: the date is not that of its entry")
    destroyed = [b["at"] for b in bodies if b["action"] == "archive_destroyed"]
    if [change["last_copy_destroyed_at"]] != (destroyed or [None]):
        complain(f"{what}: the date of the last copy is not that of its entry")
    for number, line in enumerate(change["lines"]):
        raw = bytes.fromhex(line["line"])
        steps = [bytes.fromhex(step) for step in line["proof"]]
        found = climbed(leaf(raw), line["index"], detail["lines"], steps)
        if found.hex() != detail["root"]:
            complain(f"{what}: a line does not stand in the manifest")
        if raw[:16].hex() != tag(key, name, change["collection"], change["became"], number):
            complain(f"{what}: a line is not one of this subject")


def check_receipt(place: Path, trusted: str | None, say: Complain) -> int:
    """The same of a receipt."""
    faults: list[str] = []
    try:
        receipt = json.loads(place.read_bytes())
        lines = trusted.splitlines() if trusted else receipt["keys"]
        size, root = head(receipt["checkpoint"], [parsed_key(line) for line in lines])
        key = bytes.fromhex(receipt["subject_key"])
        for change in receipt["changes"]:
            check_change(change, key, size, root, faults.append)
            what = f"{change['collection']}: {len(change['lines'])} records {change['became']}"
            last = change["last_copy_destroyed_at"] or "not yet"
            say(f"{what} at {change['at']} ({change['policy']}), last copy destroyed {last}")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        faults.append(f"the receipt cannot be believed: {type(error).__name__}: {error}")
    for fault in faults:
        say("OFF: " + fault)
    say(f"{len(faults)} things are off" if faults else "nothing is off")
    return len(faults)


def told(statement: Any, bodies: dict[int, Any]) -> Iterator[str]:
    """What the entries add up to, counted here and not read from a summary."""
    chosen = statement["filter"]
    yield "{}, from {} until before {}, policy {}".format(
        statement["environment"],
        chosen["from"],
        chosen["to"],
        chosen["policy"] or "any",
    )
    yield f"{len(bodies)} entries of a log of {statement['log']['size']}"
    records: dict[str, int] = {}
    for body in bodies.values():
        is_of_period = chosen["from"] <= body["at"] < chosen["to"]
        if body["action"] == "chunk_manifest" and is_of_period:
            for place, counted in body["detail"]["counts"].items():
                for became, count in counted.items():
                    name = f"{place} {became}"
                    records[name] = records.get(name, 0) + count
    for name in sorted(records):
        yield f"  {name}: {records[name]} records"


def main(arguments: list[str]) -> int:
    place = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    trusted = arguments[1] if len(arguments) > 1 else None
    checks = check_receipt if place.suffix == ".json" else check
    return 1 if checks(place, trusted, lambda line: sys.stdout.write(line + "\n")) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
