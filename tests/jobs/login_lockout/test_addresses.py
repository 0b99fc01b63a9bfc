"""Addresses and names: one key for what is one, and none for what is nothing."""

import pytest

from jobs.login_lockout.addresses import is_inside, is_private, key_of, network_of
from jobs.login_lockout.events import Event, in_order, user_key
from tests.jobs.login_lockout.rules import NOON, fails


def test_ipv6_counts_by_its_64_and_a_mapped_address_is_the_one_inside() -> None:
    assert key_of("2001:db8::1") == key_of("2001:DB8:0:0:ffff::9") == "2001:db8::/64"
    assert key_of("::ffff:203.0.113.7") == "203.0.113.7"
    assert key_of("2001:db8:0:1::1") != key_of("2001:db8::1")


@pytest.mark.parametrize("text", ["", " 203.0.113.7", "203.0.113.7 ", "203.0.113.300", "host"])
def test_what_is_no_address_has_no_key(text: str) -> None:
    assert key_of(text) is None


def test_private_addresses_are_known_and_those_of_documentation_are_ordinary() -> None:
    private = [
        "10.1.2.3",
        "127.0.0.1",
        "192.168.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "fd00::1",
        "::1",
    ]
    assert all(is_private(str(key_of(text))) for text in private)
    assert not any(is_private(str(key_of(text))) for text in ["203.0.113.7", "8.8.8.8"])
    assert is_inside("203.0.113.7", [network_of("203.0.113.0/24")])
    assert not is_inside("2001:db8::/64", [network_of("203.0.113.0/24")])


def test_one_name_is_one_name_however_it_is_written() -> None:
    names = [
        "Straße@Example.org",
        "STRASSE@example.org",
        " strasse@example.org ",
        "\N{FULLWIDTH LATIN SMALL LETTER S}trasse@example.org",
    ]
    assert {user_key(name) for name in names} == {"strasse@example.org"}
    assert user_key("an\u200bn") == "ann"


@pytest.mark.parametrize("name", [None, "", "  ", "-", "Unknown", "NULL", "\u200b", "x" * 300])
def test_what_names_nobody_is_no_key_that_strangers_share(name: str | None) -> None:
    assert user_key(name) is None


def test_two_sources_that_tell_of_one_try_are_matched_one_to_one() -> None:
    three, two = [fails(0)] * 3, [fails(0)] * 2
    assert tries([two, three]) == tries([three, two]) == 3
    assert tries([three]) == 3
    assert tries([two, [fails(0, address="198.51.100.1")]]) == 3
    assert tries([[fails(0, tries=2)], three]) == 3
    assert tries([[fails(0)], [fails(0.02)]]) == 2


def tries(sources: list[list[Event]]) -> int:
    events = in_order(sources)
    assert all(event.at >= NOON for event in events)
    return sum(event.tries for event in events)
