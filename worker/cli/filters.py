"""By what `tend audit list` and `tend audit export` find entries: one set of options for both."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from worker import runs
from worker.audit.search import Search
from worker.states import State
from worker.times import TIME, moment_of

_NAME = "wanted"


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_search`, and to its `wanted` what they ask for."""
    own = inspect.signature(command)
    options = inspect.signature(_search).parameters

    @wraps(command)
    def filled(**given: Any) -> None:
        asked = {name: given.pop(name) for name in options}
        command(**given, **{_NAME: _search(**asked)})

    kept = [each for name, each in own.parameters.items() if name != _NAME]
    arguments = [each for each in kept if each.default is inspect.Parameter.empty]
    others = [each for each in kept if each.default is not inspect.Parameter.empty]
    parameters = [*arguments, *options.values(), *others]
    filled.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined] # what Typer reads
    filled.__annotations__ = {each.name: each.annotation for each in parameters}
    return filled


def _search(
    run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Only of this policy.")] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only by this actor.")] = None,
    action: Annotated[str | None, typer.Option("--action", help="Only of this action.")] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", help="Only of runs that write there, such as mongo/salesData."),
    ] = None,
    outcome: Annotated[
        State | None, typer.Option("--outcome", help="Only of runs that were ever in this state.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help=f"From then on. {TIME}")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before then.")] = None,
) -> Search:
    return Search(
        run=None if run is None else runs.parse_id(run),
        policy=policy,
        actor=actor,
        action=action,
        target=target,
        outcome=outcome,
        since=None if since is None else moment_of("--since", since),
        until=None if until is None else moment_of("--until", until),
    )
