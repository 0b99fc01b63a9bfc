"""Jobs and policies are found by their place, and a stored text becomes a policy again."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from policies.errors import PolicyError, TendError
from worker.errors import UnknownPolicy
from worker.registry import Policies, frozen_policy, is_task, job_of, jobs, jobs_in

SHIPPED = Path(__file__).parents[2] / "policies"
POLICIES = Policies.load([SHIPPED])
JOB = "class Job:\n    name = '{name}'\njob = Job()\n"


def _package(directory: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> ModuleType:
    name = f"family_{directory.name}"
    package = directory / name
    package.mkdir()
    (package / "__init__.py").touch()
    for module, source in modules.items():
        (package / f"{module}.py").write_text(source)
    monkeypatch.syspath_prepend(directory)
    return importlib.import_module(name)


def test_every_module_and_package_brings_the_job_of_its_own_name() -> None:
    assert set(jobs()) >= {"retention_purge", "session_cleanup", "value_repair"}
    for name, job in jobs().items():
        assert type(job).__module__.startswith(f"jobs.{name}")


def test_the_contract_is_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _package(tmp_path, monkeypatch, base="", record_job="", mend=JOB.format(name="mend"))
    assert set(jobs_in(package)) == {"mend"}


def test_two_jobs_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = JOB.format(name="mend")
    package = _package(tmp_path, monkeypatch, mend=twice, mend_again=twice)
    with pytest.raises(TendError, match=r"mend_again calls its job mend, as another one does"):
        jobs_in(package)


def test_a_module_without_a_job_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _package(tmp_path, monkeypatch, helpers="")
    with pytest.raises(TendError, match=r"helpers has no `job`"):
        jobs_in(package)


def test_policies_are_found_by_name_and_in_order() -> None:
    assert POLICIES.names == tuple(sorted(POLICIES.names))
    assert [loaded.policy.name for loaded in POLICIES] == list(POLICIES.names)
    assert POLICIES.get("text-dates").policy.job == "value_repair"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("text-date", "there is no policy 'text-date'; did you mean 'text-dates'?"),
        (
            "x",
            "there is no policy 'x'; choose from: audit-log-retention, audit-verification, ",
        ),
    ],
)
def test_an_unknown_policy_is_answered_with_a_known_one(name: str, says: str) -> None:
    with pytest.raises(UnknownPolicy) as caught:
        POLICIES.get(name)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("name", POLICIES.names)
def test_a_frozen_text_becomes_the_same_policy_again(name: str) -> None:
    policy = POLICIES.get(name).policy
    again = frozen_policy(policy.text)
    assert again == policy
    assert again.version == policy.version
    if not is_task(policy):
        assert job_of(again).selector(again) == job_of(policy).selector(policy)


def test_a_frozen_text_with_words_of_another_version_says_so() -> None:
    document = json.loads(POLICIES.get("text-dates").policy.text)
    document["options"]["mode"] = "fast"
    with pytest.raises(PolicyError, match=r"'text-dates' cannot be read by this version .*: mode"):
        frozen_policy(json.dumps(document))


def test_a_frozen_text_of_a_job_that_is_gone_says_so() -> None:
    document = json.loads(POLICIES.get("text-dates").policy.text)
    with pytest.raises(PolicyError, match="there is no job 'value_fix'; did you mean"):
        frozen_policy(json.dumps({**document, "job": "value_fix"}))
