"""The tree against the vectors of RFC 6962's reference implementation, and a recursive oracle."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.audit import merkle

ENTRIES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROOTS = [
    EMPTY,
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SECOND = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
THIRD_AND_FOURTH = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
LAST_FOUR = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
FIFTH = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
LAST_TWO = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
FIFTH_AND_SIXTH = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {
    (0, 1): [],
    (0, 8): [SECOND, THIRD_AND_FOURTH, LAST_FOUR],
    (5, 8): [FIFTH, LAST_TWO, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], THIRD_AND_FOURTH, FIFTH],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [SECOND, THIRD_AND_FOURTH, LAST_FOUR],
    (6, 8): [FIFTH_AND_SIXTH, LAST_TWO, ROOTS[4]],
    (2, 5): [THIRD_AND_FOURTH, FIFTH],
}

hashes = st.binary(min_size=32, max_size=32)
trees = st.lists(st.integers(0, 2**32), min_size=1, max_size=80, unique=True).map(
    lambda numbers: [merkle.leaf_hash(str(number).encode()) for number in numbers]
)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = power_below(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, word for word."""
    if len(leaves) == 1:
        return []
    k = power_below(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(old: int, leaves: list[bytes], *, is_old: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, word for word."""
    if old == len(leaves):
        return [] if is_old else [naive_root(leaves)]
    k = power_below(len(leaves))
    if old <= k:
        return [*naive_proof(old, leaves[:k], is_old=is_old), naive_root(leaves[k:])]
    return [*naive_proof(old - k, leaves[k:], is_old=False), naive_root(leaves[:k])]


def power_below(size: int) -> int:
    k = 1
    while k * 2 < size:
        k *= 2
    return k


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_that_of_the_reference(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_an_inclusion_proof_is_that_of_the_reference(index: int, size: int) -> None:
    proof = merkle.inclusion_proof(LEAVES[:size], index)
    assert [each.hex() for each in proof] == INCLUSION[index, size]
    root = bytes.fromhex(ROOTS[size])
    assert merkle.verify_inclusion(LEAVES[index], index, size, proof, root)


@pytest.mark.parametrize(("old", "size"), CONSISTENCY)
def test_a_consistency_proof_is_that_of_the_reference(old: int, size: int) -> None:
    proof = merkle.consistency_proof(LEAVES[:size], old)
    assert [each.hex() for each in proof] == CONSISTENCY[old, size]
    roots = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[size])
    assert merkle.verify_consistency(old, size, proof, *roots)


@given(trees, st.data())
def test_roots_and_proofs_are_those_that_the_rfc_defines(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    assert merkle.root(leaves) == naive_root(leaves)
    assert merkle.inclusion_proof(leaves, index) == naive_path(index, leaves)
    assert merkle.consistency_proof(leaves, old) == naive_proof(old, leaves)


@given(trees, st.data())
def test_a_proof_holds_for_its_leaf_and_for_nothing_else(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size, root = len(leaves), merkle.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(leaves, index)
    assert merkle.verify_inclusion(leaves[index], index, size, proof, root)
    other = data.draw(hashes)
    assert not merkle.verify_inclusion(other, index, size, proof, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, proof, other)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*proof, other], root)
    assert not merkle.verify_inclusion(leaves[index], size, size, proof, root)
    elsewhere = data.draw(st.integers(0, size - 1))
    is_there = merkle.verify_inclusion(leaves[index], elsewhere, size, proof, root)
    assert is_there == (elsewhere == index)


@given(trees, st.data())
def test_only_a_beginning_of_a_tree_is_consistent_with_it(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size, root = len(leaves), merkle.root(leaves)
    old = data.draw(st.integers(0, size))
    proof = merkle.consistency_proof(leaves, old)
    old_root = merkle.root(leaves[:old])
    assert merkle.verify_consistency(old, size, proof, old_root, root)
    other = data.draw(hashes)
    assert not merkle.verify_consistency(old, size, proof, other, root)
    assert not merkle.verify_consistency(old, size, [*proof, other], old_root, root)
    if old:
        assert not merkle.verify_consistency(old, size, proof, old_root, other)
        place = data.draw(st.integers(0, old - 1))
        altered = [*leaves[:place], other, *leaves[place + 1 : old]]
        assert not merkle.verify_consistency(old, size, proof, merkle.root(altered), root)
    assert not merkle.verify_consistency(size + 1, size, proof, old_root, root)


@given(trees, st.data())
def test_a_compact_range_grows_into_the_same_root_from_any_point(
    leaves: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(leaves)))
    some = merkle.CompactRange().extend(leaves[:at])
    subtrees = list(merkle.complete_subtrees(0, at))
    assert some.peaks == [
        merkle.root(leaves[place << level : place + 1 << level]) for level, place in subtrees
    ]
    kept = some.copy().extend(leaves[at:])
    assert (kept.size, kept.root) == (len(leaves), naive_root(leaves))
    assert (some.size, some.root) == (at, naive_root(leaves[:at]))


@pytest.mark.parametrize("path", [(merkle.inclusion_path, 3, 3), (merkle.consistency_path, 4, 3)])
def test_what_is_beyond_the_tree_has_no_proof(path: tuple[object, int, int]) -> None:
    of, place, size = path
    assert callable(of)
    with pytest.raises(ValueError, match="a tree of 3 leaves has no"):
        of(place, size)
