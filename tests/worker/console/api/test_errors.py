"""What goes wrong over HTTP: one form, and the statuses that docs/api.md lists."""

import inspect
from typing import Any

import pytest

from policies.errors import TendError
from tests.worker.console.api.conftest import WHY, Api
from worker import errors
from worker.console import answers
from worker.console.answers import STATUSES


def kinds() -> list[type[TendError]]:
    found = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    return [each for each in found if issubclass(each, TendError)]


def test_no_line_of_the_table_is_hidden_by_one_before_it() -> None:
    for place, (kind, _) in enumerate(STATUSES):
        earlier = [other for other, _ in STATUSES[:place] if issubclass(kind, other)]
        assert not earlier, kind


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_what_is_asked_wrongly_is_never_called_a_conflict_or_a_fault(kind: type[TendError]) -> None:
    """Exit code 2 says that whoever asks, or deploys, can mend it; 3 that a guard refused."""
    status = answers.status_of(kind("…"))
    if kind.exit_code == 2:
        assert status in (404, 422, 503)
    if kind.exit_code == 3:
        assert status == 409


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/runs/r-77", 404, "run_unknown"),
        ("/runs/seven", 404, "run_unknown"),
        ("/runs/r-999999999999999999", 404, "run_unknown"),
        ("/runs?state=done", 422, "invalid_request"),
        ("/runs?limit=0", 422, "invalid_request"),
        ("/runs?limit=100000", 422, "invalid_request"),
        ("/runs?polcy=x", 422, "invalid_request"),
        ("/runs?policy=text-date", 404, "policy_unknown"),
        ("/runs?policy=%00", 422, "invalid_request"),
        ("/policies/text-date", 404, "policy_unknown"),
        ("/audit?since=yesterday", 422, "usage"),
        ("/audit/0", 422, "invalid_request"),
        ("/audit/nine", 422, "invalid_request"),
        ("/nothing", 404, "not_found"),
    ],
)
def test_a_bad_question_is_answered_in_one_form(
    api: Api, path: str, status: int, code: str
) -> None:
    answer = api("GET", path, as_="viewer")
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert answer.json["status"] == "error"
    assert answer.json["error"]["message"].endswith((".", "?"))


def test_a_body_that_is_no_json_or_has_keys_that_nobody_knows_is_refused(api: Api) -> None:
    bodies: list[Any] = [
        [],
        "text",
        {**WHY, "yes": True},
        {**WHY, "\ud800": 1},
        {"reason": "\ud800"},
    ]
    for body in bodies:
        answer = api("POST", "/policies/sales-retention/enable", body)
        assert (answer.status, answer.json["error"]["code"]) == (422, "invalid_request"), body
    assert api.get("/audit?action=policy_enabled")["entries"] == []


def test_what_was_sent_stands_in_no_error_about_it(api: Api) -> None:
    answer = api("POST", "/policies/sales-retention/enable", {"reason": {"secret": "hunter2"}})
    assert answer.status == 422
    assert b"hunter2" not in answer.body


def test_without_redis_nothing_is_put_on_record(api: Api) -> None:
    here = api.settings.model_copy(update={"redis_url": None})
    object.__setattr__(api.settings, "redis_url", here.redis_url)
    answer = api("POST", "/policies/sales-retention/run", WHY)
    assert (answer.status, answer.json["error"]["code"]) == (503, "setting_invalid")
    assert "TEND_REDIS_URL is not set" in answer.json["error"]["message"]
    assert api.get("/runs")["runs"] == []


def test_a_redis_that_is_away_keeps_no_run_from_being_accepted(api: Api) -> None:
    """The doorbell is owed, and a scheduler rings it."""
    away = type(api.settings.redis_url)("redis://127.0.0.1:1/0") if api.settings.redis_url else None
    object.__setattr__(api.settings, "redis_url", away)
    answer = api("POST", "/policies/sales-retention/run", WHY)
    assert (answer.status, answer.json["state"]) == (202, "queued")
