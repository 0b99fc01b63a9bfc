from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from tests.worker.audit.keeping import SIGNER, add, ids, positions, sequence, write
from worker import database as control_database
from worker.audit import checkpoints, merkle, sequencer, tree
from worker.audit.checkpoints import Head
from worker.audit.sequencer import CHECKPOINT_EVERY, HEARTBEAT_EVERY, Sequencer
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import LogAltered
from worker.tables import Checkpoint, Entry, Position, Subtree, Unsequenced


@pytest.fixture
def control(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
only_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def leaves(database: Database) -> list[bytes]:
    """The leaf hashes in the order of the positions, from the entries themselves."""
    with database.transaction() as session:
        bodies = select(Entry.body).join(Position, Position.entry_id == Entry.id)
        return [
            merkle.leaf_hash(body) for body in session.scalars(bodies.order_by(Position.position))
        ]


def test_positions_begin_at_0_have_no_gap_and_cover_each_entry_once(control: Database) -> None:
    write(control, 3)
    sequence(control)
    write(control, 2)
    sequence(control)
    assert positions(control) == list(enumerate(ids(control)))
    root = merkle.root(leaves(control))
    with control.transaction() as session:
        assert session.scalars(select(Unsequenced.entry_id)).all() == []
        assert tree.root(session, 5) == root


def test_what_was_rolled_back_gets_no_position(control: Database) -> None:
    write(control)
    with suppress(InterruptedError), control.transaction() as session:
        add(session, 3)
        session.flush()
        raise InterruptedError
    write(control)
    sequence(control)
    assert positions(control) == list(enumerate(ids(control)))


@only_postgresql
def test_an_entry_that_is_committed_late_follows_with_a_lower_id(control: Database) -> None:
    with control.transaction() as late:
        add(late)
        late.flush()
        write(control, 2)
        sequence(control)
    sequence(control)
    first, *others = ids(control)
    assert positions(control) == list(enumerate([*others, first]))


def test_more_than_one_batch_is_taken_before_anything_is_signed(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 3)
    write(control, 8)
    made = sequence(control)
    assert made is not None
    assert (made.size, made.root) == (8, merkle.root(leaves(control)))


def test_a_checkpoint_is_a_note_that_says_what_its_columns_say(control: Database) -> None:
    write(control, 5)
    sequence(control)
    root = merkle.root(leaves(control))
    with control.transaction() as session:
        made = checkpoints.latest(session)
        assert made is not None
        head = checkpoints.opened(made.note, SIGNER)
        assert head == Head("tend/test/1", 5, root, made.at)
        assert (made.origin, made.size, made.root) == (head.origin, head.size, head.root)
        assert checkpoints.latest(session, at_least=5) is made
        assert checkpoints.latest(session, at_least=6) is None
    assert checkpoints.opened(made.note, Signer.of("test", "A" * 43 + "=")) is None


@pytest.mark.parametrize(
    "text", ["", "tend\n1\nAAAA\nat now\n", "tend/test/1\n01\n{root}\nat {at}\n"]
)
def test_what_is_signed_and_no_checkpoint_is_not_taken_for_one(text: str) -> None:
    text = text.format(root="A" * 43 + "=", at="2026-01-01T00:00:00.000000Z")
    assert Head.parsed(text) is None


def test_a_checkpoint_comes_every_few_seconds_and_with_the_end_of_a_run_at_once(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_at = control_database.now
    shift = timedelta()
    monkeypatch.setattr(control_database, "now", lambda session: made_at(session) + shift)
    write(control)
    assert sequence(control) is not None  # the first one
    write(control)
    assert sequence(control) is None
    write(control, action="run_succeeded")
    made = sequence(control)
    assert made is not None
    assert made.size == 3
    write(control)
    assert sequence(control) is None
    shift = CHECKPOINT_EVERY + timedelta(minutes=1)
    made = sequence(control)
    assert made is not None
    assert made.size == 4


def test_when_nothing_happens_a_checkpoint_says_so_now_and_then(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sequence(control) is None  # there is nothing to sign
    write(control)
    first = sequence(control)
    assert first is not None
    assert sequence(control) is None
    made_at = control_database.now
    monkeypatch.setattr(control_database, "now", lambda session: made_at(session) + HEARTBEAT_EVERY)
    second = sequence(control)
    assert second is not None
    assert (second.size, second.root) == (first.size, first.root)
    assert second.at > first.at


def test_sequencers_that_take_turns_agree(control: Database) -> None:
    one, other = Sequencer(control, SIGNER), Sequencer(control, SIGNER)
    for each in (one, one, other, one, other, other):
        write(control, 3)
        each.sequence()
    assert positions(control) == list(enumerate(ids(control)))
    root = merkle.root(leaves(control))
    with control.transaction() as session:
        assert tree.root(session, 18) == root


@only_postgresql
def test_without_the_lock_the_positions_themselves_keep_two_from_giving_the_same(
    control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(control, 6)
    monkeypatch.setattr(sequencer, "_is_first", lambda _session: True)
    look, looks = sequencer._waiting, [0]  # noqa: SLF001 - the moment between look and insert

    def overtaken(session: Session) -> object:
        found = look(session)
        looks[0] += 1
        if looks[0] == 1:
            sequence(control)
        return found

    monkeypatch.setattr(sequencer, "_waiting", overtaken)
    assert sequence(control) is None
    assert looks == [2]
    write(control)
    sequence(control)
    assert positions(control) == list(enumerate(ids(control)))


def test_stored_subtrees_and_proofs_are_those_of_the_whole_tree(control: Database) -> None:
    for number in (100, 200, 300):
        write(control, number)
        sequence(control)
    every = leaves(control)
    with control.transaction() as session:
        stored = session.execute(select(Subtree.level, Subtree.place, Subtree.hash)).all()
        assert [tuple(row) for row in stored] == [
            (8, place, merkle.root(every[place * 256 : place * 256 + 256])) for place in (0, 1)
        ]
        for size in (1, 255, 256, 257, 600):
            assert tree.root(session, size) == merkle.root(every[:size])
            assert tree.frontier(session, size) == merkle.CompactRange().extend(every[:size])
        for position in (0, 255, 256, 511, 599):
            proof = tree.inclusion_proof(session, position, 600)
            assert proof == merkle.inclusion_proof(every, position)
        for old in (1, 255, 256, 300, 600):
            proof = tree.consistency_proof(session, old, 600)
            assert proof == merkle.consistency_proof(every, old)


@only_sqlite
def test_nothing_is_added_to_a_log_that_is_not_the_one_that_was_signed(control: Database) -> None:
    write(control, 5)
    sequence(control)
    write(control)
    with control.transaction() as session:
        altered = update(Position).where(Position.position == 2).values(leaf_hash=b"0" * 32)
        session.execute(altered)
    with pytest.raises(LogAltered, match="is not the one that was signed in checkpoint c-1"):
        sequence(control)
    assert len(positions(control)) == 5


@only_sqlite
def test_nothing_is_added_after_a_checkpoint_of_an_unknown_key(control: Database) -> None:
    write(control)
    Sequencer(control, Signer.of("test", "B" * 43 + "=")).sequence()
    write(control)
    with pytest.raises(LogAltered, match="signed by no key of TEND_AUDIT_KEYS"):
        sequence(control)
    with control.transaction() as session:
        assert len(session.scalars(select(Checkpoint)).all()) == 1


@only_sqlite
def test_a_log_with_a_hole_has_no_root(control: Database) -> None:
    write(control, 5)
    sequence(control)
    with control.transaction() as session:
        session.delete(session.get_one(Position, 3))
        session.flush()
        with pytest.raises(LogAltered, match="lacks 1 hashes of level 0 from 0 on"):
            tree.root(session, 5)
