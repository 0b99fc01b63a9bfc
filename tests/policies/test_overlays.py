"""A later directory merges over an earlier one, and each value knows where it came from."""

from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.models import SelectOptions
from policies.selectors import OlderThan
from policies.throttle import Limit, Throttle
from tests.policies.written import PURGE, REPAIR, load_all, write


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base", PURGE)


def _overlay(base: Path, text: str) -> Path:
    return write(base.parent / "overlay", text, "old-sales")


def test_every_leaf_says_where_it_came_from(base: Path) -> None:
    overlay = _overlay(base, "guards:\n  max_records: 7\nbatch:\n  records: 9\n")
    origins = load_all(base, overlay)["old-sales"].origins
    assert origins == {
        "name": f"{base}/old-sales.yaml:1",
        "job": f"{base}/old-sales.yaml:2",
        "description": f"{base}/old-sales.yaml:3",
        "schedule.cron": f"{base}/old-sales.yaml:5",
        "schedule.every": "default",
        "schedule.timezone": "default",
        "schedule.jitter": "default",
        "options.target": "default",
        "options.collection": f"{base}/old-sales.yaml:7",
        "options.unless": "default",
        "options.dated_by": "default",
        "options.warnings": "default",
        "options.select.older_than.field": f"{base}/old-sales.yaml:10",
        "options.select.older_than.age": f"{base}/old-sales.yaml:11",
        "guards.max_records": f"{overlay}/old-sales.yaml:2",
        "guards.max_percent": f"{base}/old-sales.yaml:14",
        "catchup": "default",
        "window": "default",
        "pace": "default",
        "batch.records": f"{overlay}/old-sales.yaml:4",
        "batch.bytes": "default",
        "batch.pause": "default",
        "throttle.missing": "default",
        **{
            f"throttle.{indicator}.{word}": "default"
            for indicator in Throttle.model_fields
            for word in Limit.model_fields
            if indicator != "missing"
        },
        "chunk": "default",
        "writers": "default",
        "approval": "default",
        "undo": f"{base}/old-sales.yaml:15",
        "plan_expires": "default",
    }


def test_mappings_merge_deep(base: Path) -> None:
    overlay = _overlay(base, "options: {select: {older_than: {age: 10y}}}")
    options = load_all(base, overlay)["old-sales"].policy.options
    assert isinstance(options, SelectOptions)
    assert isinstance(options.select, OlderThan)
    assert options.select.older_than.field == "createdAt"
    assert str(options.select.older_than.age) == "10y"


def test_a_list_is_replaced_and_its_parts_have_origins(tmp_path: Path) -> None:
    base = write(tmp_path / "base", REPAIR)
    text = "options:\n  repairs:\n    - {field: cost, when: negative, set: 0}\n"
    loaded = load_all(base, write(tmp_path / "overlay", text, "mended-sales"))["mended-sales"]
    repairs = loaded.policy.options.model_dump(mode="json")["repairs"]
    assert repairs == [{"field": "cost", "when": "negative", "set": 0}]
    assert {key: place for key, place in loaded.origins.items() if "repairs" in key} == {
        f"options.repairs.0.{key}": f"{tmp_path}/overlay/mended-sales.yaml:3"
        for key in ("field", "when", "set")
    }


def test_an_empty_value_takes_the_earlier_one_away(base: Path) -> None:
    overlay = _overlay(base, "schedule:\n  cron:\n  every: 1h\n")
    schedule = load_all(base, overlay)["old-sales"].policy.schedule
    assert schedule is not None
    assert schedule.cron is None
    assert str(schedule.every) == "1h"


def test_a_third_directory_merges_over_the_second(base: Path) -> None:
    second = _overlay(base, "guards: {max_records: 7, max_percent: 7}")
    third = write(base.parent / "third", "guards: {max_records: 8}", "old-sales")
    guards = load_all(base, second, third)["old-sales"].policy.guards
    assert (guards.max_records, guards.max_percent) == (8, 7)


def test_a_policy_that_only_the_overlay_has_is_complete_in_itself(base: Path) -> None:
    overlay = write(base.parent / "overlay", REPAIR)
    assert set(load_all(base, overlay)) == {"old-sales", "mended-sales"}


def test_an_overlay_of_a_misspelt_policy_is_an_incomplete_policy(base: Path) -> None:
    overlay = write(base.parent / "overlay", "guards: {max_records: 7}", "old-sale")
    with pytest.raises(PolicyError) as caught:
        load_all(base, overlay)
    assert str(caught.value) == f"{overlay}/old-sale.yaml:1: name: this key is missing"


def test_a_wrong_value_is_found_in_the_overlay_that_brought_it(base: Path) -> None:
    overlay = _overlay(base, "# why\nundo: forever\n")
    with pytest.raises(PolicyError) as caught:
        load_all(base, overlay)
    assert str(caught.value).startswith(f"{overlay}/old-sales.yaml:2: undo: write an age")


def test_the_version_does_not_care_from_which_file_a_value_came(base: Path) -> None:
    changed = write(base.parent / "changed", PURGE.replace("max_records: 100", "max_records: 7"))
    overlay = _overlay(base, "guards: {max_records: 7}")
    assert (
        load_all(base, overlay)["old-sales"].policy.version
        == load_all(changed)["old-sales"].policy.version
    )
