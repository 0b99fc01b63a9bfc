"""Subjects: which field of each collection a legal hold protects records by."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import RootModel

from policies.selectors import (
    AllOf,
    AnyOf,
    Equals,
    FieldName,
    FieldValue,
    NoneOf,
    Selector,
    Vocabulary,
)
from policies.single_file import load_one

FILE = Path("holds") / "subjects.yaml"
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")


class SubjectField(Vocabulary):
    """The field that holds a subject, and the type it is stored as."""

    field: FieldName
    type: Literal["objectid", "text", "integer", "any"]

    def equals(self, value: str, inside: str = "") -> Iterator[Selector]:
        """One condition for each form in which the field may hold `value`."""
        field = f"{inside}{self.field}"
        if self.type in {"text", "any"}:
            yield Equals(equals=FieldValue(field=field, value=value))
        if self.type in {"objectid", "any"} and _OBJECT_ID.fullmatch(value):
            yield Equals(equals=FieldValue(field=field, value=value, type="objectid"))
        if self.type in {"integer", "any"} and _INTEGER.fullmatch(value):
            yield Equals(equals=FieldValue(field=field, value=int(value)))


class Subjects(RootModel[Mapping[str, Mapping[str, SubjectField]]]):
    """For each `target/collection`, the subjects it knows and their fields."""

    @property
    def names(self) -> frozenset[str]:
        """Every subject that some collection knows."""
        return frozenset(name for fields in self.root.values() for name in fields)

    def declares(self, place: str) -> bool:
        return self._home(place) in self.root

    def fields(self, place: str) -> Mapping[str, str]:
        """The field of each subject in a collection; none for one that is not declared."""
        known = self.root.get(self._home(place), {})
        inside = self._inside(place)
        return {name: f"{inside}{field.field}" for name, field in known.items()}

    def held(self, place: str, subjects: Iterable[tuple[str, str]]) -> Selector | None:
        """The records of `place` that belong to any of these (subject, value), or None."""
        fields = self.root[self._home(place)]
        inside = self._inside(place)
        forms = [
            form
            for name, value in subjects
            if name in fields
            for form in fields[name].equals(value, inside)
        ]
        return AnyOf(any=tuple(forms)) if forms else None

    def _home(self, place: str) -> str:
        """The collection itself, or that of which it is the quarantine."""
        home = place.removesuffix("_quarantine")
        return home if place not in self.root and home.startswith("mongo/") else place

    def _inside(self, place: str) -> str:
        """A MongoDB quarantine keeps each record whole, under `record`."""
        return "" if self._home(place) == place else "record."


def spared(selector: Selector, held: Selector | None) -> Selector:
    """`selector` without what is under a hold."""
    return selector if held is None else AllOf(all=(selector, NoneOf(none=(held,))))


def load_subjects(directories: Sequence[Path]) -> Subjects:
    """Read `holds/subjects.yaml` of every directory, later ones over earlier ones.

    Raises `PolicyError` with file, line and key.
    """
    found = load_one(directories, FILE, Subjects)
    return Subjects({}) if found is None else found
