"""`docs/policies.md` is loaded and compared with the models, so that it cannot grow stale."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from policies.models import Policy
from tests.policies.written import load_all, write
from worker.registry import every_job

DOCUMENT = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
SHIPPED = Path(__file__).parents[2] / "policies"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


def models_in(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation, seen)
    for part in get_args(annotation):
        yield from models_in(part, seen)


def _keys() -> set[tuple[str, str]]:
    seen: set[type[BaseModel]] = set()
    roots = [Policy, *(job.Options for job in every_job().values())]
    return {
        (model.__name__, key)
        for root in roots
        for model in models_in(root, seen)
        for key in model.model_fields
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.partition("\n")[0])
def test_every_example_is_a_policy_or_an_overlay_of_a_shipped_one(
    tmp_path: Path, example: str
) -> None:
    written = write(tmp_path, example)
    name = next(written.iterdir()).stem
    is_complete = "\njob: " in example
    loaded = load_all(written) if is_complete else load_all(SHIPPED, written)
    assert any(str(tmp_path) in place for place in loaded[name].origins.values())


def test_each_job_the_document_describes_has_an_example_in_it() -> None:
    described = set(re.findall(r"^### `(\w+)`", DOCUMENT, re.MULTILINE))
    named = {job for text in EXAMPLES for job in re.findall(r"^job: (\w+)", text, re.MULTILINE)}
    assert described
    assert named == described


@pytest.mark.parametrize(("model", "key"), sorted(_keys()))
def test_every_key_is_documented(model: str, key: str) -> None:
    assert re.search(rf"`{key}(: \w+)?`", DOCUMENT), f"{model} has a key {key}"


def test_every_decision_is_about_a_shipped_policy() -> None:
    decisions = (SHIPPED.parent / "docs" / "before-enabling.md").read_text()
    named = re.findall(r"^\| `([a-z-]+)` \|", decisions, re.MULTILINE)
    assert named
    assert set(named) <= set(load_all(SHIPPED))
