"""`tend token`: what it prints, to a person and to a program."""

import re
from datetime import datetime, timedelta

from tests.worker.cli.conftest import Tend

FIRST = ("token", "create", "root", "--role", "admin", "--reason", "the first one")


def test_a_token_is_shown_once_on_a_line_of_its_own(bare: Tend) -> None:
    out = bare(*FIRST).out
    text = out.splitlines()[-1]
    assert out.startswith("[development] t-1 of root: admin\n")
    assert re.fullmatch(r"tend_1_[0-9a-f]{64}", text)
    bare.setting("TEND_TOKEN", text)
    for words in (("token", "list"), ("audit", "list")):
        assert text not in bare(*words).out
        assert text not in str(bare.json(*words))


def test_the_list_shows_who_has_which_role_and_until_when(bare: Tend) -> None:
    made = bare.json(*FIRST, "--expires", "1d")
    bare.setting("TEND_TOKEN", made.pop("token"))
    bare.json("token", "create", "ann", "--role", "operator", "--reason", "CASE-1")
    bare.json("token", "revoke", "t-2", "--reason", "CASE-2")
    root, ann = bare.json("token", "list")["tokens"]
    assert root == made
    assert (ann["name"], ann["role"], ann["state"]) == ("ann", "operator", "revoked")
    assert (ann["created_by"], ann["revoked_by"], ann["reason"]) == ("root", "root", "CASE-1")
    listed = bare("token", "list").out.splitlines()
    assert listed[0] == "[development] 2 tokens"
    assert re.search(r"^t-2 +ann +operator +revoked +2\d{3}-", listed[3])


def test_a_token_is_valid_for_ninety_days_unless_told_otherwise(bare: Tend) -> None:
    made = bare.json(*FIRST)
    created = datetime.fromisoformat(made["created_at"])
    assert datetime.fromisoformat(made["expires_at"]) - created == timedelta(days=90)


def test_what_is_no_length_of_time_is_bad_usage(bare: Tend) -> None:
    for expires in ("soon", "0d", "1y", "400d"):
        ended = bare(*FIRST, "--expires", expires)
        assert ended.code == 2, expires
        assert "--expires" in ended.err
    assert bare.json("token", "list") == {"tokens": []}
