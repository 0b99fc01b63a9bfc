"""`docs/api.md`: its requests are answered as it shows, and its tables are those of the code."""

import json
import re
import shlex
from typing import Any

from tests.docs.pages import PAGES, blocks, section
from tests.worker.cli.conftest import bare, logging_as_it_was, tend, unmigrated
from tests.worker.console.api.conftest import Api, api, site, token_of
from tests.worker.console.api.operations import operations
from worker import access
from worker.console.answers import STATUSES
from worker.identity import Role

__all__ = ["api", "bare", "logging_as_it_was", "site", "tend", "unmigrated"]
PAGE = PAGES["docs/api.md"]


def is_part(shown: Any, answer: Any) -> bool:
    """Whether each value that the page shows is in the answer."""
    if isinstance(shown, dict):
        return all(key in answer and is_part(shown[key], answer[key]) for key in shown)
    return bool(shown == answer)


def test_its_requests_are_answered_as_it_shows(api: Api) -> None:
    api.tend.old_sales(3)
    asking = {"Authorization": f"Bearer {token_of(api.database, 'ann', Role.OPERATOR)}"}
    answers = [json.loads(text) for text in blocks(PAGE, "json")]
    requests = blocks(PAGE, "sh")
    assert len(requests) == 2
    for request, shown in zip(requests, answers, strict=False):
        words = shlex.split(request.replace("\\\n", " "))
        data = words[words.index("-d") + 1] if "-d" in words else None
        path = words[-1].partition("/api/v1")[2]
        method = "GET" if data is None else "POST"
        body = None if data is None else json.loads(data)
        answer = api(method, path, body, as_="", headers=asking)
        assert is_part(shown, answer.json), answer.json
        api.work("r-1")
    missing = api("GET", "/runs/r-77", as_="", headers=asking)
    assert missing.json == answers[-1]


def test_its_operations_are_those_there_are_with_their_roles() -> None:
    rows = re.findall(
        r"^\| `(\w+) (.+?)` \| `tend (.+?)`.*? \| (\w+) \|$",
        section(PAGE, "Operations"),
        re.MULTILINE,
    )
    offered = {(each.method, each.path): each.commands[0] for each in operations()}
    assert {(method, path) for method, path, _, _ in rows} == set(offered)
    for method, path, command, role in rows:
        offers = offered[(method, path)]
        assert command.removesuffix(" --plan") == offers
        assert role == access.least(offers)


def test_its_statuses_are_those_of_errors() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", section(PAGE, "Errors"), re.MULTILINE)
    listed = {int(each) for row in rows for each in row.split(", ")}
    assert listed == {int(status) for _, status in STATUSES} | {413, 408}
