"""The commands by which a person causes a change, and the one way in which each goes on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from policies.errors import TendError
from policies.models import Policy
from worker import bootstrap, by_hand, operations
from worker import runs as store
from worker.cli import context, endings, options, output, plans, undo_plan, working
from worker.cli.runs import show_records, show_run
from worker.database import Database
from worker.documents import runs as documents
from worker.documents import undo_plan as undo_plans
from worker.documents.runs import LISTED
from worker.engine import Engine
from worker.narrowing import narrowing
from worker.operations import Person
from worker.registry import frozen_policy
from worker.settings import Settings
from worker.states import State


class NotConfirmed(TendError):
    """The person did not type the policy's name; the plan is cancelled."""

    code = "not_confirmed"


@dataclass(frozen=True)
class Desk:
    """One command at work: who asks, and whether the work is done here or by the workers."""

    settings: Settings
    database: Database
    person: Person
    engine: Engine | None
    """None unless the work, or at least the plan, is this process's."""
    inline: bool
    wait: bool
    as_json: bool

    def reach(self, run_id: int) -> None:
        """If the work is this process's, complain before it is asked for."""
        if self.engine is not None:
            with self.database.transaction() as session:
                run = store.get(session, run_id)
            self.engine.must_serve(frozen_policy(run.policy_text))

    def go_on(self, run_id: int) -> None:
        """What was asked is on record: do it, or wake the workers and perhaps watch them."""
        if self.inline and self.engine is not None:
            working.drive(self.engine, run_id)
            return
        by_hand.ring(self.settings, self.database, output.say)
        if self.wait:
            working.follow(self.database, run_id)

    def finish(self, run_id: int) -> None:
        run = documents.one(self.database, run_id)
        if self.as_json:
            output.print_json(run)
        else:
            show_run(output.console(), run)
        endings.finish(run)


@contextmanager
def desk_of(
    person: Person, *, inline: bool, wait: bool, as_json: bool, plans_here: bool = False
) -> Iterator[Desk]:
    """Everything the command needs, complained about before anything is on record."""
    settings = context.load_settings()
    if not inline:
        settings.need("redis_url")
    with context.control(settings) as database:
        if not (inline or plans_here):
            yield Desk(settings, database, person, None, inline, wait, as_json)
            return
        with working.inline_engine(settings, database, person) as engine:
            yield Desk(settings, database, person, engine, inline, wait, as_json)


def run(
    policy: options.PolicyName,
    reason: options.Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal either.")] = False,
    wait: options.Wait = False,
    inline: options.Inline = False,
    where: options.Where = None,
    limit: options.Limit = None,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Plan and apply a policy in one.

    On a terminal the plan is shown first, and nothing is changed before its policy's name is
    typed.
    """
    person = context.person(reason, on_behalf_of)
    narrowed = narrowing(where, limit)
    asks = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    with desk_of(person, inline=inline, wait=wait, as_json=as_json, plans_here=asks) as desk:
        wanted = context.load_policies(desk.settings).get(policy).policy
        if asks and desk.engine is not None:
            run_id = plans.plan_here(desk.engine, wanted, desk.settings.env, person, narrowed)
            _ask(desk, desk.engine, run_id, wanted)
            operations.apply(desk.database, run_id, wanted, person, inline=inline)
        else:
            if desk.engine is not None:
                desk.engine.must_serve(wanted)
            run_id = operations.request(
                desk.database,
                wanted,
                desk.settings.env,
                person,
                apply_after_plan=True,
                inline=inline,
                narrowing=narrowed,
            )
        desk.go_on(run_id)
        desk.finish(run_id)


def apply(
    run: options.RunId,
    reason: options.Reason,
    wait: options.Wait = False,
    inline: options.Inline = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Apply a plan exactly as it was frozen; records that changed since are left and counted."""
    person = context.person(reason, on_behalf_of)
    with desk_of(person, inline=inline, wait=wait, as_json=as_json) as desk:
        run_id = store.parse_id(run)
        desk.reach(run_id)
        today = documents.todays_policy(context.load_policies(desk.settings), desk.database, run_id)
        operations.apply(desk.database, run_id, today, person, inline=inline)
        desk.go_on(run_id)
        desk.finish(run_id)


def resume(
    run: options.RunId,
    reason: options.Reason,
    wait: options.Wait = False,
    inline: options.Inline = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Continue a run that is paused, failed, was interrupted, or lost its inline process."""
    person = context.person(reason, on_behalf_of)
    with desk_of(person, inline=inline, wait=wait, as_json=as_json) as desk:
        run_id = store.parse_id(run)
        desk.reach(run_id)
        operations.resume(desk.database, run_id, person, inline=inline)
        desk.go_on(run_id)
        desk.finish(run_id)


def undo(
    run: options.RunId,
    reason: options.Reason = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would return; write nothing.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KEY", help="Only this record; may be repeated."),
    ] = None,
    wait: options.Wait = False,
    inline: options.Inline = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Restore what a run changed and nobody has touched since; pauses the policy's schedule.

    Needs --reason, unless --plan only asks what would return.
    """
    if plan:
        _show_undo_plan(run, only, as_json=as_json)
        return
    person = context.person(reason, on_behalf_of)
    with desk_of(person, inline=inline, wait=wait, as_json=as_json) as desk:
        run_id = store.parse_id(run)
        desk.reach(run_id)
        selection = undo_plans.selected(desk.settings, desk.database, run_id, only)
        operations.undo(desk.database, run_id, person, inline=inline, only=selection)
        desk.go_on(run_id)
        _finish_undo(desk, run_id)


def _show_undo_plan(run: str, only: list[str] | None, *, as_json: bool) -> None:
    settings = context.load_settings()
    run_id = store.parse_id(run)
    limit = None if as_json else LISTED
    with context.control(settings) as database:
        opens = partial(_engine, settings, database)
        document = undo_plans.document(settings, database, run_id, only, limit, opens)
    if as_json:
        output.print_json(document)
    else:
        undo_plan.show(output.console(), document)


@contextmanager
def _engine(settings: Settings, database: Database) -> Iterator[Engine]:
    context.need_target(settings)
    engine = bootstrap.open_engine(settings, database)
    try:
        yield engine
    finally:
        engine.close()


def cancel(
    run: options.RunId,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """End a run: no batch commits after this; what it changed so far stays changed."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with (
        context.control(settings) as database,
        working.inline_engine(settings, database, person) as engine,
    ):
        by_hand.cancel(engine, run_id, person, output.say)
        document = documents.one(database, run_id)
    if as_json:
        output.print_json(document)
    else:
        show_run(output.console(), document)


def _ask(desk: Desk, engine: Engine, run_id: int, policy: Policy) -> None:
    """Show the plan and ask for the policy's name; ends the command unless it is typed."""
    document, plan = documents.planned(engine.database, engine.keyring, run_id)
    plans.show_plan(output.console(stderr=desk.as_json), document, plan)
    if document["state"] != State.PLANNED:
        if desk.as_json:
            output.print_json(document)
        endings.finish(document)
    out = output.console(stderr=True)
    try:
        out.print(f"Type {policy.name} to change these records: ", end="")
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        answer = ""
        out.print()
    if answer != policy.name:
        by_hand.cancel(engine, run_id, desk.person, output.say)
        raise NotConfirmed(
            f"That is not {policy.name}, so r-{run_id} is cancelled and nothing was changed."
        )


def _finish_undo(desk: Desk, run_id: int) -> None:
    document = documents.one(desk.database, run_id)
    limit = None if desk.as_json else LISTED
    conflicts = documents.exceptions(
        desk.settings, desk.database, run_id, "undo", "conflict", output.say, limit
    )
    enable = f'tend enable {document["policy"]} --reason "…"'
    if desk.as_json:
        output.print_json({**document, "conflict_records": conflicts, "enable": enable})
    else:
        out = output.console()
        show_run(out, document)
        show_records(out, "in conflict, left as they are", conflicts, document["conflicts"])
        out.print(f"The schedule of {document['policy']} is paused; this resumes it:")
        out.print(enable)
    endings.finish(document)
