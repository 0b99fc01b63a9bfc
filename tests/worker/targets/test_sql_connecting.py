"""Servers that are away or another than was thought, and users who may not."""

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from jobs.base import Outcomes
from tests.worker.targets.shops import Hand, Site, deletes, left, words
from worker.errors import (
    TargetError,
    TargetRefused,
    TargetUnreachable,
)
from worker.targets.sql import SqlTarget
from worker.targets.sql_server import SqlServer

NEGATIVE = words(less_than={"field": "stock", "value": 0})


def _refusal(url: str, error: type[TargetError]) -> str:
    """What the target says, which never holds what is secret in its URL."""
    with pytest.raises(error) as refused, closing(SqlTarget(url)) as target:
        target.ping()
    assert "wrong" not in str(refused.value)
    return str(refused.value)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    says = _refusal("postgresql+psycopg://u:wrong@127.0.0.1:1/shop", TargetUnreachable)
    assert says == "PostgreSQL database shop does not answer; check the server and TEND_SQL_URL."


def test_a_wrong_password_is_refused(login: str) -> None:
    says = _refusal(login.replace("right", "wrong"), TargetRefused)
    assert "refused the user or password in TEND_SQL_URL" in says


def test_a_database_that_does_not_exist_is_named(postgres_url: str) -> None:
    assert "database nowhere does not exist" in _refusal(
        postgres_url.rpartition("/")[0] + "/nowhere", TargetError
    )


def test_a_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    says = _refusal(f"sqlite:///{tmp_path}/typo.sqlite", TargetUnreachable)
    assert says.startswith("SQLite database typo.sqlite cannot be opened")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("wrong" * 1000)
    assert "is no SQLite database" in _refusal(f"sqlite:///{tmp_path}/notes.txt", TargetError)


@pytest.mark.parametrize("url", ["mysql://u:wrong@h/shop", "sqlite://", "wrong", "sqlite:///"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    assert "TEND_SQL_URL" in _refusal(url, TargetError)


def test_a_server_that_answers_says_nothing(stocked: Site) -> None:
    stocked.target.ping()
    assert left(stocked) == [1, 2]


def test_plans_are_read_by_a_user_who_cannot_write(login: str, postgres_stocked: Site) -> None:
    target = SqlTarget(postgres_stocked.url, login)
    hand = Hand(target, postgres_stocked.hand.store)
    assert hand.keys(NEGATIVE) == [1, 2]
    assert target.population("products") == 2
    assert hand.change([1], NEGATIVE, deletes).outcomes == Outcomes(changed=1)
    target.close()


def test_a_user_who_may_not_write_is_refused_with_a_sentence(
    login: str, postgres_stocked: Site
) -> None:
    target = SqlTarget(login)
    with pytest.raises(TargetRefused, match="table tend_fences does not allow this user"):
        Hand(target, postgres_stocked.hand.store).change([1], NEGATIVE, deletes)
    target.close()


@pytest.mark.parametrize("primary", [True, False])
def test_what_reads_for_a_plan_cannot_write(stocked: Site, primary: bool) -> None:
    server = SqlServer(stocked.url)
    with (
        pytest.raises(TargetRefused, match="is read-only"),
        server.reading("here", 5, primary=primary) as transaction,
    ):
        transaction.execute(text("DELETE FROM products"))
    server.close()
    assert left(stocked) == [1, 2]
