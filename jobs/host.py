"""What the command line, the API and the console lend to a job family that brings its own.

A family has `commands.py` with `app(host)`, which returns its commands, `routes.py` with
`router(door)`, which offers them over HTTP, and `pages.py` with `router(room)`, which offers them
to a browser; who may give them stands in the one table of roles, and every change they make has its
entry.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy.orm import Session

from jobs.task import PerformContext
from policies.models import Policy


class Desk(Protocol):
    """An open command: the family's state, its targets, its policies, and who asks."""

    @property
    def environment(self) -> str: ...

    @property
    def asker(self) -> str:
        """Who gives the command; `command line` where it changes nothing."""

    @property
    def reason(self) -> str: ...

    @property
    def context(self) -> PerformContext: ...

    @property
    def policies(self) -> Sequence[Policy]:
        """Those of the family's jobs."""

    def policy(self, name: str) -> Policy:
        """A policy by its name or out of a file; raises a `PolicyError` that says where it errs."""

    def record(self, session: Session, action: str, policy: str, detail: Mapping[str, Any]) -> None:
        """The entry of a change, in its transaction; `detail` names no person and no address."""


class Host(Protocol):
    """Opens desks, and prints as every command does."""

    def looking(self) -> AbstractContextManager[Desk]:
        """For a command that changes nothing."""

    def changing(self, reason: str, on_behalf_of: str | None) -> AbstractContextManager[Desk]:
        """For one that does: it takes a reason, and refuses one that names a person's data."""

    def refuse(self, sentence: str) -> Exception:
        """The error to raise when something cannot be asked in this way; exits 2."""

    def print_json(self, document: Mapping[str, Any]) -> None: ...

    def heading(self, environment: str, text: str) -> None: ...

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None: ...

    def facts(self, rows: Iterable[tuple[str, str | None]]) -> None: ...

    def say(self, sentence: str) -> None:
        """A remark on standard error."""


class Asked(Host, Protocol):
    """The host of one request: what is printed as JSON is the answer."""

    @property
    def document(self) -> dict[str, Any]: ...


class Door(Protocol):
    """Lets requests in."""

    def asked(self, command: str) -> Any:
        """A FastAPI dependency: an `Asked`, for somebody with the role that this command takes."""


class Visit(Asked, Protocol):
    """The host of one page: somebody in a browser."""

    @property
    def form(self) -> Mapping[str, str]:
        """What they filled in; nothing where they only look."""

    def page(self, template: str, **context: Any) -> Any:
        """The answer: a template out of the family's own `templates`, in the console's frame.

        `name.html#block` is a part of it, which is swapped in by itself.
        """

    def done(self, path: str) -> Any:
        """The answer to a change: on to a page."""

    def missing(self, sentence: str) -> Exception:
        """The error to raise when there is no such thing; 404."""


class Room(Protocol):
    """The console, as a family has it. Each gives a FastAPI dependency, a `Visit`."""

    def looked_at(self, command: str) -> Any:
        """For a page of whoever has the role that this command takes."""

    def looked_on(self, command: str) -> Any:
        """For what a page asks for by itself, which keeps no session alive."""

    def sent(self, command: str) -> Any:
        """For a form of the console's own."""
