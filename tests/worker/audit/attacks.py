"""What somebody with every right on the control database, and without the key, might do to it."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.worker.audit.keeping import ADA
from worker.audit import checkpoints, entries, merkle, tree
from worker.audit.signing import Signer
from worker.tables import Checkpoint, Entry, Position, Subtree, Unsequenced

ENTRIES = 300
ANCHORED = 280
"""So many of them are under a checkpoint that is kept outside."""
MALLORY = Signer.of("test", b64encode(b"m" * 32).decode())

Attack = Callable[[Session], object]


@dataclass(frozen=True)
class Named:
    """An attack that a failing example can be told by."""

    name: str
    attack: Attack

    def __repr__(self) -> str:
        return self.name


def rows(session: Session) -> list[Position]:
    return list(session.scalars(select(Position).order_by(Position.position)))


def rebuild(session: Session, signer: Signer | None) -> None:
    """Make positions, subtrees and checkpoints agree with the entries, in the order of their ids.

    Without a signer the checkpoints keep their notes, with new columns.
    """
    session.flush()
    order = {row.entry_id: row.position for row in rows(session)}
    bodies = session.execute(select(Entry.id, Entry.body).order_by(Entry.id)).all()
    bodies = sorted(bodies, key=lambda row: order.get(row.id, row.id))
    session.execute(delete(Position))
    session.execute(delete(Subtree))
    leaves = []
    for position, (entry_id, body) in enumerate(bodies):
        leaf = merkle.leaf_hash(body)
        leaves.append(leaf)
        session.add(Position(position=position, entry_id=entry_id, leaf_hash=leaf))
        entry = session.get_one(Entry, entry_id)
        entry.leaf_hash = leaf.hex()
    session.flush()
    tree.store_subtrees(session, 0, len(leaves))
    for row in session.scalars(select(Checkpoint)):
        row.size = min(row.size, len(leaves))
        row.root = merkle.root(leaves[: row.size])
        if signer is not None:
            head = checkpoints.head_of(row)
            row.note = signer.sign(head.text, head.origin)
    session.flush()


def rewrite(session: Session, number: int, signer: Signer | None) -> None:
    """Another body for one entry, and all that follows from it."""
    entry = rows(session)[number].entry_id
    found = session.get_one(Entry, entry)
    found.body = found.body.replace(b"ada@console", b"eve@console")
    found.actor = "eve@console"
    rebuild(session, signer)


def drop_tail(session: Session, kept: int) -> None:
    """As if the last ones had never been."""
    for row in rows(session)[kept:]:
        session.execute(delete(Entry).where(Entry.id == row.entry_id))
        session.delete(row)
    session.execute(delete(Checkpoint).where(Checkpoint.size > kept))
    session.flush()
    session.execute(delete(Subtree))
    tree.store_subtrees(session, 0, kept)


def delete_one(session: Session, number: int, *, closing: bool) -> None:
    row = rows(session)[number]
    session.execute(delete(Entry).where(Entry.id == row.entry_id))
    if closing:
        session.delete(row)
        rebuild(session, None)


def swap(session: Session, one: int, other: int) -> None:
    found = rows(session)
    first, second = found[one], found[other]
    pair = (second.entry_id, second.leaf_hash), (first.entry_id, first.leaf_hash)
    session.execute(update(Position).where(Position.position == one).values(entry_id=-1))
    for position, (entry_id, leaf) in ((other, pair[1]), (one, pair[0])):
        at = update(Position).where(Position.position == position)
        session.execute(at.values(entry_id=entry_id, leaf_hash=leaf))


def insert(session: Session, *, hours: int, waits: bool) -> None:
    """An entry that seems to be old; with `waits` the sequencer is made to take it."""
    made = session.get_one(Entry, entries.append(session, "policy_enabled", ADA, policy="a-test"))
    earlier = made.at - timedelta(hours=hours)
    text = entries.stamp(made.at).encode(), entries.stamp(earlier).encode()
    made.body = made.body.replace(*text)
    made.at = earlier
    made.leaf_hash = entries.leaf_hash(made.body)
    if not waits:
        session.flush()
        session.execute(delete(Unsequenced).where(Unsequenced.entry_id == made.id))


def empty(session: Session, tables: tuple[Any, ...]) -> None:
    for table in tables:
        session.execute(delete(table))


COLUMNS: dict[str, Any] = {
    "at": lambda old: old + timedelta(microseconds=1),
    "action": lambda old: old + "x",
    "run_id": lambda _old: 7,
    "policy": lambda old: old + "x",
    "actor": lambda old: old + "x",
    "body": lambda old: old.replace(b"a-test", b"b-test"),
    "leaf_hash": lambda old: "0" * 64 if isinstance(old, str) else b"0" * 32,
    "id": lambda old: old + 100_000,
    "entry_id": lambda old: old + 100_000,
    "position": lambda old: old + 100_000,
    "hash": lambda _old: b"0" * 32,
    "origin": lambda old: old[:-1] + "7",
    "size": lambda old: old - 1,
    "root": lambda _old: b"0" * 32,
    "note": lambda old: old.replace("at 2", "at 1", 1),
}
EDITABLE = [
    *((Entry, column.name) for column in Entry.__table__.columns),
    *((Position, column.name) for column in Position.__table__.columns),
    (Subtree, "hash"),
    *((Checkpoint, column.name) for column in Checkpoint.__table__.columns if column.name != "id"),
]


def edit(session: Session, model: Any, column: str, number: int) -> None:
    """Another value in one field of one row."""
    keys = session.scalars(select(model)).all()
    row = keys[number % len(keys)]
    value = COLUMNS[column](getattr(row, column))
    key = row.__mapper__.primary_key
    found = update(model)
    for part in key:
        found = found.where(part == getattr(row, part.key))
    session.execute(found.values({column: value}), execution_options={"synchronize_session": False})


anywhere = st.integers(0, ANCHORED - 1)


@st.composite
def attacks(draw: st.DrawFn) -> Named:
    """One of every kind, somewhere."""
    one, other = draw(st.lists(anywhere, min_size=2, max_size=2, unique=True))
    forger = draw(st.sampled_from([None, MALLORY]))
    model, column = draw(st.sampled_from(EDITABLE))
    tables = draw(st.sampled_from([(Entry,), (Position,), (Entry, Position, Checkpoint, Subtree)]))
    kinds: dict[str, Attack] = {
        f"edit {model.__tablename__}.{column}": lambda s: edit(s, model, column, one),
        f"delete {one}": lambda s: delete_one(s, one, closing=False),
        f"delete {one} and close": lambda s: delete_one(s, one, closing=True),
        f"drop the tail from {one}": lambda s: drop_tail(s, one),
        f"empty {len(tables)} tables": lambda s: empty(s, tables),
        f"swap {one} and {other}": lambda s: swap(s, one, other),
        "insert a back-dated one that waits": lambda s: insert(s, hours=one + 30, waits=True),
        "insert one that does not wait": lambda s: insert(s, hours=one, waits=False),
        f"rewrite {one}, signed: {forger is not None}": lambda s: rewrite(s, one, forger),
        "sign everything with another key": lambda s: rebuild(s, MALLORY),
    }
    name = draw(st.sampled_from(sorted(kinds)))
    return Named(name, kinds[name])
