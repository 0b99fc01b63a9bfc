"""Lines of logs: what they tell, and that nobody's name passes for an address."""

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

import policies
from jobs.login_lockout.events import Event
from jobs.login_lockout.lines import IGNORED, Parse, parser
from jobs.login_lockout.options import FileSource, LockoutOptions
from worker.registry import Policies

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
AT = r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
SECURITY = FileSource(
    files="security.log",
    lines=(
        AT + r" \S+ failed_login (?P<address>\S+)(?: user=(?P<user>.*))?",
        AT + r" failed_login (?P<user>.*) (?P<address>\S+)",
    ),
    timezone="Europe/Berlin",
)
SSHD = FileSource(files="auth.log", format="sshd", timezone="Europe/Berlin")
JSON = FileSource(files="events.jsonl", format="json")
(SHIPPED,) = (
    source
    for source in cast(
        LockoutOptions,
        Policies.load([Path(policies.__path__[0])]).get("login-lockout").policy.options,
    ).sources
    if isinstance(source, FileSource)
)
HEAD = "Nov 22 08:59:01 web sshd[77]: "


def of(source: FileSource) -> Parse:
    return parser(source, NOW)


def told(parse: Parse, line: str) -> tuple[str | None, str, bool, int]:
    event = parse(line)
    assert isinstance(event, Event), event
    return event.user, event.address, event.failed, event.tries


def test_the_fifth_field_is_the_address_and_a_user_may_be_named_or_not() -> None:
    parse = of(SECURITY)
    line = "2026-11-22 08:59:01 WARN failed_login 203.0.113.7"
    assert line.split()[4] == "203.0.113.7"
    assert told(parse, line) == (None, "203.0.113.7", True, 1)
    assert told(parse, line + " user=Bob") == ("bob", "203.0.113.7", True, 1)
    event = parse(line)
    assert isinstance(event, Event)
    assert event.at == datetime(2026, 11, 22, 7, 59, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["bob 10.9.9.9", "bob\t10.9.9.9", "a user=ann", "bob\x1b[0m"])
def test_a_name_that_could_be_read_in_two_ways_is_set_aside(name: str) -> None:
    parse = of(SECURITY)
    assert parse(f"2026-11-22 08:59:01 failed_login {name} 203.0.113.7") == "ambiguous"
    assert parse(f"2026-11-22 08:59:01 WARN failed_login 203.0.113.7 user={name}") == "ambiguous"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22 08:59:01 WARN failed_login",
        "x 2026-11-22 08:59:01 WARN failed_login 203.0.113.7",
        "2026-11-22 08:59:01 WARN failed_login 203.0.113.7 and more",
    ],
)
def test_a_line_that_fits_no_pattern_from_end_to_end_is_unreadable(line: str) -> None:
    assert of(SECURITY)(line) == "unreadable"


@pytest.mark.parametrize("address", ["203.0.113.07", "203.0.113.7:22", "203.0.113", "::1::2", "x"])
def test_what_is_no_address_is_set_aside(address: str) -> None:
    assert of(SECURITY)(f"2026-11-22 08:59:01 WARN failed_login {address}") == "address"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22 07:59:01 WARN failed_login 203.0.113.7",
        "[2026-11-22 07:59:01.250] WARN: failed_login 203.0.113.7",
        "2026-11-22 07:59:01 failed_login from 203.0.113.7",
        "2026-11-22T07:59:01Z web auth failed_login 203.0.113.7",
        "2026-11-22T08:59:01+01:00 WARN failed_login ip: 203.0.113.7",
    ],
)
def test_the_shipped_policy_reads_the_fifth_field_however_a_line_begins(line: str) -> None:
    assert line.split()[4] == "203.0.113.7"
    assert told(of(SHIPPED), line) == (None, "203.0.113.7", True, 1)


def test_the_shipped_policy_lets_no_name_choose_the_victim() -> None:
    parse = of(SHIPPED)
    named = "2026-11-22 07:59:01 WARN failed_login 203.0.113.7 {}"
    assert told(parse, named.format("user=bob")) == ("bob", "203.0.113.7", True, 1)
    assert parse(named.format("bob 10.9.9.9")) == "ambiguous"
    before = "2026-11-22 07:59:01 failed_login {} 203.0.113.7"
    assert told(parse, before.format("bob")) == (None, "203.0.113.7", True, 1)
    assert parse(before.format("bob 10.9.9.9")) == "unreadable"


def test_other_lines_are_ignored_and_impossible_times_are_set_aside() -> None:
    assert of(SECURITY)("2026-11-22 08:59:01 INFO started") == IGNORED
    assert of(SECURITY)("2026-02-30 08:59:01 WARN failed_login 203.0.113.7") == "time"


def test_sshd_says_who_and_from_where() -> None:
    parse = of(SSHD)
    tries = "Failed password for {} from 203.0.113.7 port 50022 ssh2"
    assert told(parse, HEAD + tries.format("root")) == ("root", "203.0.113.7", True, 1)
    assert told(parse, HEAD + tries.format("invalid user oracle"))[0] == "oracle"
    key = "Accepted publickey for ann from 2001:db8::7 port 50022 ssh2: ED25519 SHA256:abc"
    assert told(parse, HEAD + key) == ("ann", "2001:db8::/64", False, 1)
    repeated = f"message repeated 3 times: [ {tries.format('root')}]"
    assert told(parse, HEAD + repeated) == ("root", "203.0.113.7", True, 3)
    modern = "2026-11-22T08:59:01.250000+01:00 web sshd-session[9]: " + tries.format("root")
    assert told(parse, modern)[1] == "203.0.113.7"


@pytest.mark.parametrize(
    "name",
    [
        "bob from 10.9.9.9 port 1 ssh2",
        "bob from 10.9.9.9 port 1 ssh2: RSA x",
        "x] message repeated 9 times: [ Failed password for ann",
    ],
)
def test_a_client_that_calls_itself_a_log_line_chooses_no_victim(name: str) -> None:
    line = f"{HEAD}Failed password for invalid user {name} from 203.0.113.7 port 50022 ssh2"
    assert of(SSHD)(line) == "ambiguous"


def test_a_stamp_without_a_year_is_of_the_latest_year_that_is_not_in_the_future() -> None:
    line = "{} 23:59:59 web sshd[1]: Failed password for root from 203.0.113.7 port 1 ssh2"
    event, before = of(SSHD)(line.format("Nov 22")), of(SSHD)(line.format("Dec 31"))
    assert isinstance(event, Event)
    assert isinstance(before, Event)
    assert (event.at.year, before.at.year) == (2026, 2025)
    assert of(SSHD)(line.format("Feb 30")) == "time"


def test_json_lines_tell_the_same_and_a_key_that_stands_twice_tells_nothing() -> None:
    parse = of(JSON)
    line = '{"event": "failed_login", "timestamp": "2026-11-22T07:59:01Z", "ip": "203.0.113.7"'
    assert told(parse, line + ', "username": "Bob"}') == ("bob", "203.0.113.7", True, 1)
    assert told(parse, line + "}")[0] is None
    assert parse(line + ', "ip": "10.9.9.9"}') == "unreadable"
    assert parse(line + ', "username": {"$ne": null}}') == "ambiguous"
    assert parse('{"event": "page_view"}') == IGNORED
    assert parse("{") == "unreadable"
    assert parse("[" * 100_000) == "unreadable"
