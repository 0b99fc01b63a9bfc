"""`--where` and `--limit`: what a person adds to a policy can only make a run smaller."""

from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from policies.selectors import AllOf, AnyOf, Equals, FieldValue, LocalSelector, Selector
from worker.errors import UsageError

_SELECTOR: TypeAdapter[Selector] = TypeAdapter(LocalSelector)
_OBJECT_ID_DIGITS = 24


def parse_where(text: str) -> Selector:
    """`field=value`, or a selector in YAML; an id in hexadecimal also matches as an ObjectId."""
    if not text.lstrip().startswith("{"):
        name, found, value = text.partition("=")
        if not found:
            raise UsageError(f"--where '{text}' is neither field=value nor a selector in YAML.")
        return _equals(name.strip(), value.strip())
    try:
        return _SELECTOR.validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(
            "--where is no selector; write it like {older_than: {field: createdAt, age: 3000d}}."
        ) from error


def narrowing(where: str | None, limit: int | None) -> dict[str, Any]:
    """The run's record of how it was narrowed."""
    selector = parse_where(where).model_dump(mode="json") if where is not None else None
    return {"where": selector, "limit": limit} if where is not None or limit is not None else {}


def narrowed(selector: Selector, narrowing: dict[str, Any]) -> Selector:
    where = narrowing.get("where")
    if where is None:
        return selector
    return AllOf(all=(selector, _SELECTOR.validate_python(where)))


def _equals(name: str, value: str) -> Selector:
    try:
        plain = yaml.safe_load(value)
        exact = Equals(equals=FieldValue(field=name, value=plain))
        if len(value) != _OBJECT_ID_DIGITS or not set(value.lower()) <= set("0123456789abcdef"):
            return exact
        as_id = Equals(equals=FieldValue(field=name, value=value, type="objectid"))
        as_text = Equals(equals=FieldValue(field=name, value=value))
    except (yaml.YAMLError, ValidationError) as error:
        raise UsageError(
            f"--where {name}=… has a field or value that cannot be compared."
        ) from error
    return AnyOf(any=(as_text, as_id))
