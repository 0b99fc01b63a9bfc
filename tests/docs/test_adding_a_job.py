"""`docs/adding-a-job.md` is executed: its three files are written, found and run."""

import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import jobs
import policies
from tests.docs.pages import PAGES
from tests.worker.scenario import Scenario
from worker import registry

PAGE = PAGES["docs/adding-a-job.md"]
FILES = dict(re.findall(r"^## .*?: `(\S+)`\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
JOB, POLICY, TEST = FILES
EXAMPLE_TESTS = re.findall(r"^def (test_\w+)\(", FILES[TEST], re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example's test module, its job and policy found by their place like any other."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    before = dict(registry.jobs())
    monkeypatch.setattr(jobs, "__path__", [*jobs.__path__, str(tmp_path / "jobs")])
    monkeypatch.setattr(policies, "__path__", [str(tmp_path / "policies"), *policies.__path__])
    _forget_jobs()
    assert set(registry.jobs()) - set(before) == {Path(JOB).stem}
    yield _loaded(tmp_path / TEST)
    _forget_jobs()
    del sys.modules[f"jobs.{Path(JOB).stem}"]
    delattr(jobs, Path(JOB).stem)


def _forget_jobs() -> None:
    registry.every_job.cache_clear()
    registry.jobs.cache_clear()


def _loaded(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_a_job_a_policy_and_a_test_and_nothing_else() -> None:
    assert [str(Path(name).parent) for name in FILES] == ["jobs", "policies", "tests/jobs"]
    assert len(EXAMPLE_TESTS) == 3


@pytest.mark.parametrize("name", EXAMPLE_TESTS)
def test_the_example_passes_its_own_test(
    example: ModuleType, scenario: Scenario, name: str
) -> None:
    getattr(example, name)(scenario)
