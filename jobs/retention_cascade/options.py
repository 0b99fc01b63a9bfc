"""What a policy says of accounts that go with everything that belongs to them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from jobs.base import Relation
from policies.durations import CalendarAge
from policies.models import RecordOptions
from policies.selectors import CollectionName, FieldName, LocalSelector, Vocabulary


class Child(Vocabulary):
    """Records of another collection that go before the account whose key their field holds."""

    collection: CollectionName
    key: FieldName

    @property
    def relation(self) -> Relation:
        return Relation(self.collection, self.key)


class Sign(Vocabulary):
    """A sign of life: a date of the account itself, or of records that belong to it."""

    field: FieldName
    collection: CollectionName | None = None
    key: FieldName | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Sign":
        if (self.collection is None) != (self.key is None):
            raise ValueError("a sign in another collection has both collection and key")
        return self


class Inactive(Vocabulary):
    """An account without a sign of life for so long; without any, it counts from its creation."""

    age: CalendarAge
    signs: Annotated[tuple[Sign, ...], Field(min_length=1)]
    created: FieldName = "createdAt"

    @property
    def own(self) -> tuple[FieldName, ...]:
        """The dates of the account itself."""
        return tuple(sign.field for sign in self.signs if sign.collection is None)

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Where else there are signs of life."""
        return tuple(
            Relation(sign.collection, sign.key, sign.field)
            for sign in self.signs
            if sign.collection is not None and sign.key is not None
        )


class CascadeOptions(RecordOptions):
    """Which accounts go, and what goes with them, in this order."""

    target: Literal["mongo"] = "mongo"
    select: LocalSelector | None = None
    inactive: Inactive | None = None
    children: Annotated[tuple[Child, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _can_be_meant(self) -> "CascadeOptions":
        if self.select is None and self.inactive is None:
            raise ValueError("say which accounts go: select, inactive, or both")
        if self.select is None and self.inactive is not None and not self.inactive.own:
            raise ValueError("without select, one of the signs is a date of the account itself")
        if self.inactive is not None and self.warnings:
            raise ValueError("warnings count what a selector finds; inactive is more than that")
        names = [child.collection for child in self.children]
        if len(set(names)) < len(names) or self.collection in names:
            raise ValueError("children are other collections than the account's, each named once")
        return self

    @property
    def written(self) -> tuple[str, ...]:
        return (self.collection, *(child.collection for child in self.children))
