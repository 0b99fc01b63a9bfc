"""`docs/cli.md` is compared with the commands and with what they print."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.cli.conftest import Tend, ago
from worker.cli import COMMANDS, loaded
from worker.cli.endings import exit_code
from worker.listing import Became
from worker.states import State

TEXT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
ROWS = re.findall(r"^\| `tend ([a-z ]+?)(?: [A-Z]+)?` \|(.*?)\|", TEXT, re.MULTILINE)
UNIVERSAL = {"--json", "--help"}


def real_commands() -> dict[str, Any]:
    """Every command by its words, those of sub-commands too."""
    found: dict[str, Any] = {}
    for name in COMMANDS:
        found |= _of(name, loaded(name))
    return found


def _of(name: str, command: Any) -> dict[str, Any]:
    inner = getattr(command, "commands", {})
    found = {} if inner and not command.invoke_without_command else {name: command}
    for word, each in inner.items():
        found |= _of(f"{name} {word}", each)
    return found


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def keys_of(title: str) -> set[str]:
    cells = re.findall(r"^\| (`.*?`) \|", section(title), re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def test_every_command_is_documented_and_nothing_else() -> None:
    assert {name for name, _ in ROWS} == set(real_commands())


@pytest.mark.parametrize("name", sorted(real_commands()))
def test_every_option_is_documented_and_nothing_else(name: str) -> None:
    command = real_commands()[name]
    options = {word for parameter in command.params for word in parameter.opts if word[0] == "-"}
    assert "--json" in options
    documented = set(re.findall(r"`(--[a-z-]+)`", dict(ROWS)[name]))
    assert options - UNIVERSAL == documented


def test_the_keys_of_a_run_are_documented(tend: Tend) -> None:
    tend.json("plan", "text-dates")
    (run,) = tend.json("runs")["runs"]
    assert keys_of("JSON of a run") == set(run)
    shown = tend.json("show", "r-1")
    for key in [*set(shown) - set(run), *run["skipped"]]:
        assert f"`{key}`" in section("JSON of a run")


def test_the_keys_of_what_remains_are_documented(tend: Tend) -> None:
    run = tend.json("run", "text-dates", "--reason", "x", "--inline")
    for key in run["remaining"]:
        assert f"`{key}`" in section("JSON of a run")


def test_the_keys_of_a_plan_are_documented(tend: Tend) -> None:
    tend.shop.salesData.insert_many([{"date": "soon"}, {"date": ago(1)}])
    plan = tend.json("plan", "text-dates")["plan"]
    assert keys_of("JSON of a plan") == set(plan)
    (example,) = plan["sample"]
    for key in [*example, *plan["guards"][0], *plan["estimate"]]:
        assert f"`{key}`" in section("JSON of a plan")


def test_the_keys_of_an_undos_plan_are_documented(tend: Tend) -> None:
    tend.json("run", "text-dates", "--reason", "x", "--inline")
    assert keys_of("JSON of an undo's plan") == set(tend.json("undo", "r-1", "--plan"))


def test_the_keys_of_a_runs_records_are_documented(tend: Tend) -> None:
    tend.shop.salesData.insert_one({"date": "soon"})
    tend.json("run", "text-dates", "--reason", "x", "--inline")
    found = tend.json("records", "r-1")
    documented = section("JSON of a run's records")
    assert set(found) | set(Became) <= keys_of("JSON of a run's records")
    for key in found["records"][0]:
        assert f"`{key}`" in documented


def test_the_keys_of_a_difference_are_documented(tend: Tend) -> None:
    tend.json("enable", "text-dates", "--reason", "x")
    found = tend.json("policies", "diff", "text-dates")
    assert keys_of("JSON of a difference") == set(found)
    for key in [*found["against"], *found["effect"]["after"]]:
        assert f"`{key}`" in section("JSON of a difference")


def test_the_keys_of_a_policy_are_documented(tend: Tend) -> None:
    shown = tend.json("policies", "show", "text-dates")
    documented = section("JSON of policies")
    assert keys_of("JSON of policies") == set(shown) - {"policy", "origins"}
    assert "`policy`" in documented
    assert "`origins`" in documented


def test_every_exit_code_a_run_can_end_with_is_documented() -> None:
    codes = {str(exit_code({"state": state})) for state in State}
    assert codes <= set(re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE))


@pytest.mark.system
def test_help_comes_without_waiting_for_drivers() -> None:
    looks = "import sys; from worker.cli import main; main(['--help']); "
    looks += "assert not {'pymongo', 'sqlalchemy', 'dramatiq', 'alembic'} & set(sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", looks], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    for name in COMMANDS:
        assert f" {name} " in ended.stdout
