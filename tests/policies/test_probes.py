"""Probes' files: shipped, overlaid, refused with file and line, and documented key by key."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from policies.errors import PolicyError
from policies.probes import ANSWERS, Probe
from tests.policies.test_documentation import models_in
from worker.registry import probe_kinds, probes_in

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "policies"
PAGE = (ROOT / "docs" / "probes.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
HTTP = """\
name: applications
options:
  endpoints:
    - {name: api, url: "https://api.example.com/health"}
"""


def overlay(folder: Path, text: str, name: str = "applications") -> Path:
    (folder / "probes").mkdir(exist_ok=True)
    (folder / "probes" / f"{name}.yaml").write_text(text)
    return folder


def complaint(folder: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        probes_in([SHIPPED, folder])
    return str(caught.value)


def test_there_is_a_shipped_probe_of_every_kind() -> None:
    assert {probe.kind for probe in probes_in([SHIPPED]).values()} == set(probe_kinds())


def test_a_folder_without_probes_has_none(tmp_path: Path) -> None:
    assert probes_in([tmp_path]) == {}


def test_an_overlay_lies_over_a_shipped_probe(tmp_path: Path) -> None:
    shipped, found = (
        probes_in([SHIPPED, *more])["applications"] for more in ((), (overlay(tmp_path, HTTP),))
    )
    assert shipped.options.is_empty
    assert not found.options.is_empty
    assert found.every == shipped.every


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\n", "applications.yaml:1: name: the file is applications.yaml"),
        ("kind: https\n", "there is no kind 'https'; did you mean 'http'?"),
        ("every: 500s\nwithin: 20m\n", "within must be longer than 0 and no longer than every"),
        ("every: 0s\n", "every must be at least 1s"),
        ("raise_after: 0\n", "raise_after"),
        ("severity: {slowness: P1}\n", "there is no check 'slowness'; choose from: answers, body"),
        ("ignore: [slowness]\n", "there is no check 'slowness'"),
        ("options: {endpoint: []}\n", "unknown key; did you mean 'endpoints'?"),
        (HTTP.replace("https://", "https://anna:secret@"), "leave the login out of the URL"),
        (HTTP.replace("https://", "ftp://"), "write a URL with its scheme and host"),
        (HTTP + '    - {name: api, url: "https://b.example"}\n', "two endpoints called api"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(
    tmp_path: Path, text: str, says: str
) -> None:
    found = complaint(overlay(tmp_path, text))
    assert says in found
    assert "probes/applications.yaml:" in found
    assert "secret" not in found


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.partition("\n")[0])
def test_every_example_is_an_overlay_of_a_shipped_probe(tmp_path: Path, example: str) -> None:
    name = example.partition("\n")[0].removeprefix("name: ")
    assert name in probes_in([SHIPPED, overlay(tmp_path, example, name)])


def _keys() -> set[tuple[str, str]]:
    seen: set[type[BaseModel]] = set()
    roots = [Probe, *(kind.Options for kind in probe_kinds().values())]
    return {
        (model.__name__, key)
        for root in roots
        for model in models_in(root, seen)
        for key in model.model_fields
    }


@pytest.mark.parametrize(("model", "key"), sorted(_keys()))
def test_every_key_is_documented(model: str, key: str) -> None:
    assert re.search(rf"`{key}(: \w+)?`", PAGE), f"{model} has a key {key}"


@pytest.mark.parametrize("kind", sorted(probe_kinds()))
def test_every_check_is_documented_with_its_severity(kind: str) -> None:
    section = PAGE.partition(f"### `{kind}`")[2].partition("\n## ")[0].partition("\n### ")[0]
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (P\d) \|", section, re.MULTILINE)
    told = {check: severity for names, severity in rows for check in re.findall(r"\w+", names)}
    checks = probe_kinds()[kind].Options.CHECKS
    known = {name: str(check.severity) for name, check in checks.items()}
    assert {ANSWERS: "P1", **told} == known


@pytest.mark.parametrize("kind", sorted(probe_kinds()))
def test_every_check_says_what_it_means_and_what_to_do(kind: str) -> None:
    for check in probe_kinds()[kind].Options.CHECKS.values():
        assert check.means.endswith(".")
        assert check.todo.endswith(".")
