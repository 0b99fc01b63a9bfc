"""A file that says one thing for the whole site, read over those of the folders before it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from policies.errors import PolicyError
from policies.located import Located, read

Model = TypeVar("Model", bound=BaseModel)


def load_one(directories: Sequence[Path], file: Path, model: type[Model]) -> Model | None:
    """`file` of every directory, later ones over earlier ones; None if none has it.

    Raises `PolicyError` with file, line and key.
    """
    source: Located | None = None
    for path in (directory / file for directory in directories):
        if path.exists():
            found = read(path)
            source = source.under(found) if source is not None else found
    if source is None:
        return None
    try:
        return model.model_validate(source.plain)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        keys, at = source.nearest(detail["loc"])
        key = ".".join(str(part) for part in keys)
        raise PolicyError(f"{at.where}: {key}: {detail['msg'].lower()}") from error
