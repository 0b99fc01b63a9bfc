"""What job families bring to the console: their own pages, on what is lent to them here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response

from worker import families
from worker.console.api.families import AskedHost
from worker.console.pages.visiting import LookingOn, Post, Posted, Visit, Visiting
from worker.errors import UnknownRecord


@dataclass(kw_only=True)
class VisitHost(AskedHost):
    """The host of one page of a family; what it changes, it changes as the API does."""

    visit: Visit
    form: Mapping[str, str] = field(default_factory=dict)

    def page(self, template: str, **context: Any) -> HTMLResponse:
        name = f"{self.family}/{template}"
        if "#" in template:
            return HTMLResponse(self.visit.html(name, **context))
        return self.visit.page(name, **context)

    def done(self, path: str) -> Response:
        return Post(self.visit, self.form).done(path)

    def missing(self, sentence: str) -> Exception:
        return UnknownRecord(sentence)


@dataclass(frozen=True)
class FamilyRoom:
    """The console, as the pages of one family have it."""

    family: str

    def looked_at(self, command: str) -> Any:
        def host(visit: Visiting) -> VisitHost:
            return self._host(visit, command)

        return Depends(host)

    def looked_on(self, command: str) -> Any:
        def host(visit: LookingOn) -> VisitHost:
            return self._host(visit, command)

        return Depends(host)

    def sent(self, command: str) -> Any:
        def host(posted: Posted) -> VisitHost:
            return self._host(posted.visit, command, posted.form)

        return Depends(host)

    def _host(self, visit: Visit, command: str, form: Mapping[str, str] | None = None) -> VisitHost:
        visit.must(command)
        actor = visit.login.actor
        return VisitHost(visit.here, self.family, actor, visit=visit, form=form or {})


def routers() -> Iterator[APIRouter]:
    """Those that families bring."""
    for module, _ in families.pages():
        yield import_module(module).router(FamilyRoom(families.family_in(module)))
