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
6. the sample is the one that its seed draws, of runs and of changed records, and each item's proof
   leads to the last checkpoint.

Of a receipt: that a signed checkpoint covers its entries, that each line stands in the manifest of
which they bear the root, and that each is one of the subject whose key the receipt has.

Without a KEY the key in the bundle is believed: then compare it with the one you know.

It reads the bundle as a stream: memory does not grow with the entries.
"""

import base64
import bisect
import hashlib
import hmac
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

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

    def open(self, name: str) -> IO[bytes]:
        if self._zip is not None:
            return self._zip.open(name)
        return (self._folder / name).open("rb")

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))

    def lines(self, name: str) -> Iterator[Any]:
        with self.open(name) as file:
            for line in file:
                yield json.loads(line)

    def hashes(self, name: str) -> Iterator[bytes]:
        """The content, 32 bytes at a time."""
        with self.open(name) as file:
            while block := file.read(32 * 4096):
                for start in range(0, len(block), 32):
                    yield block[start : start + 32]

    def sha256(self, name: str) -> str:
        digest = hashlib.sha256()
        with self.open(name) as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


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


class Tree:
    """A tree that grows leaf by leaf, of which the roots of the complete subtrees are kept."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, value: bytes) -> None:
        rest = self.size
        while rest & 1:
            value = node(self._peaks.pop(), value)
            rest >>= 1
        self._peaks.append(value)
        self.size += 1

    @property
    def root(self) -> bytes:
        return fold(self._peaks)


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


# --- samples that anybody draws again -------------------------------------------------------


class Draw:
    """The names whose SHA-256 after the seed is smallest, whatever order they come in."""

    def __init__(self, seed: str, count: int) -> None:
        self._seed, self._count = seed, count
        self._drawn: list[tuple[bytes, str]] = []

    def take(self, name: str) -> None:
        ranked = hashlib.sha256(f"{self._seed}:{name}".encode()).digest(), name
        is_full = len(self._drawn) == self._count
        if is_full and (not self._drawn or ranked >= self._drawn[-1]):
            return
        place = bisect.bisect_left(self._drawn, ranked)
        if self._drawn[place : place + 1] != [ranked]:
            self._drawn.insert(place, ranked)
            del self._drawn[self._count :]

    @property
    def names(self) -> list[str]:
        return [name for _, name in self._drawn]


def manifest_name(body: Any) -> str:
    """The name of the manifest that an entry bears."""
    detail = body["detail"]
    return "r-{}.{}.{}".format(body["run"], detail["direction"], detail["chunk"])


class Drawing:
    """The runs of the period, and the changed records, each as a line of a manifest."""

    def __init__(self, seed: str, count: int) -> None:
        self.runs = Draw(seed, count)
        self.records = Draw(seed, count)

    def take(self, body: Any) -> None:
        """One entry of the period."""
        if body["run"] is not None:
            self.runs.take("r-{}".format(body["run"]))
        if body["action"] == "chunk_manifest":
            for index in range(body["detail"]["lines"]):
                self.records.take(f"{manifest_name(body)}.{index}")


# --- the six checks -------------------------------------------------------------------------


def check_files(bundle: Bundle, statement: Any, complain: Complain) -> None:
    names = set(bundle.names())
    for name, digest in statement["files"].items():
        if name not in names:
            complain(name + " is missing")
        elif bundle.sha256(name) != digest:
            complain(name + " is not the file that bundle.json names")
    for name in names - set(statement["files"]) - {"bundle.json"}:
        complain(name + " is not named in bundle.json")


class Log:
    """The leaves, read once: the tree grows, and is compared with each checkpoint on its way."""

    def __init__(self, bundle: Bundle, trusted: str | None, complain: Complain) -> None:
        self.tree = Tree()
        self._leaves = bundle.hashes("leaves.bin")
        self._complain = complain
        self._roots: dict[int, set[bytes]] = {}
        text = trusted or bundle.read("keys.txt").decode()
        keys = [parsed_key(line) for line in text.splitlines() if line.strip()]
        for one in bundle.lines("checkpoints.jsonl"):
            try:
                size, root = head(one["note"], keys)
            except ValueError as error:
                complain(str(error))
            else:
                self._roots.setdefault(size, set()).add(root)
        self._last = max(self._roots, default=-1)
        self._compare()

    def leaf(self, position: int) -> bytes | None:
        """The leaf at this position; asked for with rising positions."""
        found = None
        while self.tree.size <= position:
            found = next(self._leaves, None)
            if found is None:
                return None
            self.tree.append(found)
            self._compare()
        return found

    def finish(self, statement: Any) -> bytes:
        """Read what is left; returns the root over everything."""
        while self.leaf(self.tree.size) is not None:
            pass
        for size in self._roots:
            self._complain(f"the checkpoint over {size} entries is over more than there are")
        if self._last != self.tree.size:
            self._complain("no checkpoint covers exactly the leaves in this bundle")
        if statement["log"]["size"] != self.tree.size:
            self._complain("bundle.json speaks of another number of leaves")
        return self.tree.root

    def _compare(self) -> None:
        for root in self._roots.pop(self.tree.size, ()):
            if root != self.tree.root:
                size = self.tree.size
                self._complain(f"the checkpoint over {size} entries is not the root over them")


class Sums:
    """What the entries add up to, counted here and not read from a summary."""

    def __init__(self, period: Any) -> None:
        self.entries = 0
        self.records: dict[str, int] = {}
        self._since, self._until = period["from"], period["to"]

    def is_of_period(self, body: Any) -> bool:
        return bool(self._since <= body["at"] < self._until)

    def take(self, body: Any) -> None:
        self.entries += 1
        if body["action"] == "chunk_manifest" and self.is_of_period(body):
            for place, counted in body["detail"]["counts"].items():
                for became, count in counted.items():
                    name = f"{place} {became}"
                    self.records[name] = self.records.get(name, 0) + count


class SampleCheck:
    """The sample drawn again, and its proofs, from what the entries and manifests turn out to be.

    `runs` has the positions of each drawn run's entries, `bearers` those of the entries that bear
    the manifests of drawn records.
    """

    def __init__(self, bundle: Bundle) -> None:
        found = bundle.json("sample.json") if "sample.json" in bundle.names() else None
        self._sample = found or {"seed": "", "asked": 0, "runs": [], "records": []}
        self._drawing = Drawing(self._sample["seed"], self._sample["asked"])
        self._runs: dict[str, list[int]] = {one["run"]: [] for one in self._sample["runs"]}
        self._bearers: dict[str, int] = {one["manifest"]: -1 for one in self._sample["records"]}
        self._roots: dict[str, tuple[int, str]] = {}
        self._leaves: dict[int, bytes] = {}

    def take(self, position: int, value: bytes, body: Any, *, is_of_period: bool) -> None:
        if is_of_period:
            self._drawing.take(body)
        run = "r-{}".format(body["run"])
        if run in self._runs:
            self._runs[run].append(position)
            self._leaves[position] = value
        if body["action"] == "chunk_manifest" and manifest_name(body) in self._bearers:
            self._bearers[manifest_name(body)] = position
            self._roots[manifest_name(body)] = body["detail"]["lines"], body["detail"]["root"]
            self._leaves[position] = value

    def finish(self, size: int, root: bytes, complain: Complain) -> None:
        records = [f"{one['manifest']}.{one['index']}" for one in self._sample["records"]]
        drawn = [one["run"] for one in self._sample["runs"]], records
        if drawn != (self._drawing.runs.names, self._drawing.records.names):
            complain("the sample is not the one that its seed draws")
        for one in self._sample["runs"]:
            if [entry["position"] for entry in one["entries"]] != self._runs[one["run"]]:
                complain(f"the sampled run {one['run']} has other entries in this bundle")
            for entry in one["entries"]:
                self._check_entry(entry, size, root, complain)
        for one in self._sample["records"]:
            self._check_entry(one["entry"], size, root, complain)
            self._check_line(one, complain)

    def _check_entry(self, entry: Any, size: int, root: bytes, complain: Complain) -> None:
        position = entry["position"]
        steps = [bytes.fromhex(step) for step in entry["proof"]]
        if climbed(self._leaves.get(position, b""), position, size, steps) != root:
            complain(f"the proof of the sampled entry {position} does not lead to the log")

    def _check_line(self, one: Any, complain: Complain) -> None:
        lines, root = self._roots.get(one["manifest"], (0, ""))
        steps = [bytes.fromhex(step) for step in one["proof"]]
        found = climbed(leaf(bytes.fromhex(one["line"])), one["index"], lines, steps)
        if found.hex() != root or one["entry"]["position"] != self._bearers[one["manifest"]]:
            complain(f"the sampled record {one['manifest']}.{one['index']} is not in its manifest")


def check_manifest(bundle: Bundle, position: int, body: Any, complain: Complain) -> None:
    name = f"manifests/{manifest_name(body)}.bin"
    found = Tree()
    try:
        for line in bundle.hashes(name):
            found.append(leaf(line))
    except (KeyError, OSError):
        pass  # it is missing, so there are no lines
    if (found.root.hex(), found.size) != (body["detail"]["root"], body["detail"]["lines"]):
        complain(f"{name} is not the manifest of entry {position}")


def check_entries(bundle: Bundle, statement: Any, log: Log, complain: Complain) -> Sums:
    """Every entry at its place, its manifest, and the sample."""
    sums, sample = Sums(statement["filter"]), SampleCheck(bundle)
    is_whole = statement["filter"]["policy"] is None
    last = -1
    for line in bundle.lines("entries.jsonl"):
        position, value = line["position"], leaf(line["body"].encode())
        if not last < position or log.leaf(position) != value:
            complain(f"entry {position} is not the one that stands there in the log")
            continue
        if is_whole and sums.entries and position != last + 1:
            complain(f"entries are left out between {last} and {position}")
        last = position
        body = json.loads(line["body"])
        sums.take(body)
        sample.take(position, value, body, is_of_period=sums.is_of_period(body))
        if body["action"] == "chunk_manifest":
            check_manifest(bundle, position, body, complain)
    if sums.entries != statement["entries"]["count"]:
        complain(f"bundle.json speaks of {statement['entries']['count']} entries")
    root = log.finish(statement)
    sample.finish(log.tree.size, root, complain)
    return sums


def check_policies(bundle: Bundle, complain: Complain) -> None:
    for name in bundle.names():
        if name.startswith("policies/") and name.endswith(".json"):
            version = name.rpartition("/")[2][: -len(".json")]
            if bundle.sha256(name) != version:
                complain(name + " is not the policy text of that version")


def check(place: Path, trusted: str | None, say: Complain) -> int:
    """Says what was looked at and what is off; returns how many things are."""
    faults: list[str] = []
    bundle = Bundle(place)
    statement = bundle.json("bundle.json")
    check_files(bundle, statement, faults.append)
    try:
        log = Log(bundle, trusted, faults.append)
        sums = check_entries(bundle, statement, log, faults.append)
        check_policies(bundle, faults.append)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        faults.append(f"a file cannot be read: {type(error).__name__}: {error}")
    else:
        for line in told(statement, sums):
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


def told(statement: Any, sums: Sums) -> Iterator[str]:
    """What the entries add up to."""
    chosen = statement["filter"]
    yield "{}, from {} until before {}, policy {}".format(
        statement["environment"],
        chosen["from"],
        chosen["to"],
        chosen["policy"] or "any",
    )
    yield f"{sums.entries} entries of a log of {statement['log']['size']}"
    for name in sorted(sums.records):
        yield f"  {name}: {sums.records[name]} records"


def main(arguments: list[str]) -> int:
    place = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    trusted = arguments[1] if len(arguments) > 1 else None
    checks = check_receipt if place.suffix == ".json" else check
    return 1 if checks(place, trusted, lambda line: sys.stdout.write(line + "\n")) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
