"""Roles: one table, held against every command there is."""

import pytest

from tests.worker.cli.test_documentation import real_commands
from worker import access
from worker.errors import NotAllowed
from worker.identity import Actor, Role, claimed

COMMANDS = real_commands()


def test_every_command_has_its_role_and_no_other_has() -> None:
    assert set(access.LEAST) == set(COMMANDS)


def test_a_command_that_nobody_gave_a_role_takes_an_admin() -> None:
    assert access.least("a command of tomorrow") == Role.ADMIN


def test_each_role_may_do_what_the_one_before_it_may() -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN]
    for number, role in enumerate(order):
        assert [role.includes(other) for other in order] == [
            place <= number for place in range(len(order))
        ]


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("role", Role)
def test_a_role_is_enough_for_what_the_table_says_and_for_nothing_else(
    name: str, role: Role
) -> None:
    actor = Actor("ann", "token", role=role)
    if role.includes(access.LEAST[name]):
        access.must_allow(name, actor, "production")
        return
    with pytest.raises(NotAllowed, match=rf"^ann is an? {role}, and `tend {name}` takes an? "):
        access.must_allow(name, actor, "development")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_without_a_token_a_person_may_do_what_an_operator_may(name: str) -> None:
    if access.LEAST[name] == Role.APPROVER:
        with pytest.raises(NotAllowed, match="takes a token outside of development"):
            access.must_allow(name, claimed(), "production")
        access.must_allow(name, claimed(), "development")
    else:
        access.must_allow(name, claimed(), "production")
