"""Read policy files, later directories over earlier ones, with errors a person can act on."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from policies.errors import PolicyError
from policies.located import Located, read
from policies.models import Policy, PolicyOptions
from policies.probes import FOLDER, Probe, ProbeOptions

Keys = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy, and for each of its dotted keys the file and line it came from, or `default`."""

    policy: Policy
    origins: Mapping[str, str]


@dataclass(frozen=True)
class _Form(Generic[Model]):
    """What one kind of file says: its model, and the key that says which options it takes."""

    model: type[Model]
    key: str
    unknown: type[PolicyOptions]
    """Stands for options that cannot be read, so that what is beside them is checked, too."""


_POLICY = _Form(Policy, "job", PolicyOptions)
_PROBE = _Form(Probe, "kind", ProbeOptions)


def load(
    directories: Sequence[Path], options_of: Mapping[str, type[PolicyOptions]]
) -> dict[str, LoadedPolicy]:
    """Load every policy; a file of a later directory merges over the one of the same name.

    `options_of` says for each job what its policies may say. The error names the first
    problem of every file.
    """
    return {
        name: LoadedPolicy(policy, dict(_origins(policy.model_dump(mode="json"), source, "")))
        for name, (policy, source) in _load(_files(directories), _POLICY, options_of).items()
    }


def load_probes(
    directories: Sequence[Path], options_of: Mapping[str, type[PolicyOptions]]
) -> dict[str, Probe]:
    """The same for the probes, in the folder `probes` of each directory, where there is one."""
    files = (path for each in directories for path in sorted((each / FOLDER).glob("*.yaml")))
    found = _load(files, _PROBE, options_of)
    return {name: probe for name, (probe, _) in found.items()}


def _load(
    files: Iterable[Path], form: _Form[Model], options_of: Mapping[str, type[PolicyOptions]]
) -> dict[str, tuple[Model, Located]]:
    sources: dict[str, Located] = {}
    problems: dict[str, list[str]] = {}
    for path in files:
        try:
            found = read(path)
        except PolicyError as error:
            problems.setdefault(path.stem, []).append(str(error))
            continue
        sources[path.stem] = sources[path.stem].under(found) if path.stem in sources else found
    loaded: dict[str, tuple[Model, Located]] = {}
    for name in sorted(sources.keys() - problems.keys()):
        try:
            loaded[name] = _checked(name, sources[name], form, options_of), sources[name]
        except PolicyError as error:
            problems[name] = [str(error)]
    if problems:
        raise PolicyError("\n".join(line for name in sorted(problems) for line in problems[name]))
    return loaded


def load_file(path: Path, options_of: Mapping[str, type[PolicyOptions]]) -> LoadedPolicy:
    """Load the policy of one file, which lies over no other and may have any name."""
    source = read(path)
    named = source.child("name")
    name = str(named.value) if named is not None else path.stem
    policy = _checked(name, source, _POLICY, options_of)
    return LoadedPolicy(policy, dict(_origins(policy.model_dump(mode="json"), source, "")))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word that is close to `word`, or else all of them."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean '{close[0]}'?" if close else f"choose from: {', '.join(choices)}"


def reasons(error: ValidationError) -> str:
    """A validation error as one line, for a text that has no lines of its own."""
    return "; ".join(
        f"{'.'.join(str(key) for key in detail['loc'])}: {_sentence(detail)}"
        for detail in error.errors(include_url=False, include_input=False)
    )


def _files(directories: Sequence[Path]) -> Iterator[Path]:
    if not directories:
        raise PolicyError("no policy directory is given; name at least one")
    for directory in directories:
        if not directory.is_dir():
            raise PolicyError(f"{directory}: there is no such policy directory")
        misnamed = sorted(directory.glob("*.yml"))
        if misnamed:
            raise PolicyError(f"{misnamed[0]}: call it {misnamed[0].stem}.yaml")
        files = sorted(directory.glob("*.yaml"))
        if not files:
            raise PolicyError(f"{directory}: this directory holds no policy (*.yaml)")
        yield from files


@dataclass(frozen=True)
class _Problem:
    keys: Keys
    at: Located
    says: str
    is_unknown_key: bool = False


def _checked(
    name: str,
    source: Located,
    form: _Form[Model],
    options_of: Mapping[str, type[PolicyOptions]],
) -> Model:
    document = source.plain
    problems = list(_misnamed(name, source, form.key, options_of.keys()))
    said = document.get(form.key)
    options_type = options_of.get(said) if isinstance(said, str) else None
    if "options" in document and options_type is not None:
        try:
            document["options"] = options_type.model_validate(document["options"])
        except ValidationError as error:
            problems += _problems(error, source, ("options",), options_type)
            document["options"] = form.unknown()
    elif "options" in document:
        document["options"] = form.unknown()
    try:
        checked = form.model.model_validate(document)
    except ValidationError as error:
        problems += _problems(error, source, (), form.model)
    if problems:
        raise PolicyError(_first(problems))
    return checked


def _misnamed(name: str, source: Located, key: str, known: Collection[str]) -> Iterator[_Problem]:
    called, said = source.child("name"), source.child(key)
    if called is not None and called.value != name:
        yield _Problem(("name",), called, f"the file is {name}.yaml, so the name must be '{name}'")
    if said is not None and isinstance(said.value, str) and said.value not in known:
        says = f"there is no {key} '{said.value}'; {did_you_mean(said.value, known)}"
        yield _Problem((key,), said, says)


def _first(problems: Sequence[_Problem]) -> str:
    """The first problem by line; an unknown key comes first, being the cause of a missing one."""
    first = min(problems, key=lambda problem: (not problem.is_unknown_key, problem.at.line))
    same = [problem.says for problem in problems if problem.keys == first.keys]
    key = ".".join(str(key) for key in first.keys)
    return ": ".join(part for part in (first.at.where, key, ", or ".join(same)) if part)


def _problems(
    error: ValidationError, source: Located, above: Keys, model: type[BaseModel]
) -> Iterator[_Problem]:
    for detail in error.errors(include_url=False, include_input=False):
        loc = above + detail["loc"]
        if detail["type"] == "missing":
            keys, at = source.nearest(loc[:-1])
            yield _Problem((*keys, loc[-1]), at, "this key is missing")
            continue
        keys, at = source.nearest(loc)
        known = _known(model, keys[len(above) :])
        match detail["type"]:
            case "extra_forbidden":
                siblings = _known(model, keys[len(above) : -1])
                says = f"unknown key; {did_you_mean(str(keys[-1]), siblings)}"
                yield _Problem(keys, at, says, is_unknown_key=True)
            case "selector" if isinstance(at.value, dict) and len(at.value) == 1:
                word = next(iter(at.value))
                says = f"there is no selector '{word}'; {did_you_mean(word, known)}"
                yield _Problem(keys, at, says)
            case _:
                yield _Problem(keys, at, _sentence(detail))


_WRITE = {
    "string_type": "text, in quotes if YAML reads it as something else",
    "int_type": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping of keys",
}


def _sentence(detail: Mapping[str, Any]) -> str:
    kind, says, context = detail["type"], detail["msg"], detail.get("ctx", {})
    if kind in _WRITE:
        return f"write {_WRITE[kind]}"
    if kind == "literal_error":
        return f"write {context['expected']}"
    if kind == "union_tag_invalid":
        return f"{context['discriminator']} must be one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"the key {context['discriminator']} is missing"
    return str(says.removeprefix("Value error, "))


def _known(model: type[BaseModel], keys: Keys) -> set[str]:
    """The keys that the models allow at this place."""
    models = {model}
    for key in keys:
        if isinstance(key, str):
            models = {
                inner
                for outer in models
                if key in outer.model_fields
                for inner in _models_in(outer.model_fields[key].annotation)
            }
    return {field for found in models for field in found.model_fields}


def _models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {model for part in get_args(annotation) for model in _models_in(part)}


def _origins(value: Any, source: Located | None, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        parts = list(value.items())
    elif isinstance(value, list) and value:
        parts = list(enumerate(value))
    else:
        yield key, source.where if source else "default"
        return
    for name, part in parts:
        inner = source.child(name) if source else None
        yield from _origins(part, inner, f"{key}.{name}" if key else str(name))
