"""`login_lockout`: failed logins become locks, blocks and alerts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, cast

from jobs.base import Item, Outcomes
from jobs.login_lockout import acting, crowds, following, marks
from jobs.login_lockout.decided import item_of
from jobs.login_lockout.knowledge import Known, known
from jobs.login_lockout.looking import (
    Looked,
    break_glass_of,
    look,
    memory_of,
    objections,
    rules_of,
    window_of,
)
from jobs.login_lockout.options import LockoutOptions
from jobs.login_lockout.windows import Decision, Evaluator
from jobs.moments import milliseconds
from jobs.task import CheckContext, PerformContext, TaskContext
from policies.models import Policy, PolicyOptions


class LoginLockout:
    """Reads the sources, decides by exact windows, and acts on what is fresh."""

    name: ClassVar[str] = "login_lockout"
    Options: ClassVar[type[PolicyOptions]] = LockoutOptions
    security: ClassVar[bool] = True
    mirror_action: ClassVar[str] = "login_lockout"
    mirror_count: ClassVar[str] = "decisionCount"

    def check(self, ctx: CheckContext, policy: Policy) -> None:
        options = cast(LockoutOptions, policy.options)
        for name in (*options.written, *options.read):
            next(ctx.documents.find(name, {}, ["_id"], limit=1), None)
        following.check(options)

    def questions(self, ctx: CheckContext, policy: Policy) -> Iterator[str]:
        return crowds.questions(ctx, cast(LockoutOptions, policy.options))

    def plan(self, ctx: TaskContext, policy: Policy) -> Iterator[Item]:
        options = cast(LockoutOptions, policy.options)
        begin = milliseconds(ctx.as_of - 2 * window_of(options))
        end = ctx.as_of + options.skew.delta
        following.read_on(ctx, policy.name, options, begin)
        if marks.stands(ctx, policy, options, end):
            return
        with ctx.state.transaction() as session:
            before = marks.knowledge(session, policy.name)
            stands = known(session, ctx.vault, policy.name, ctx.as_of, memory_of(options))
        logged = following.kept(ctx, policy.name, options, begin, end)
        looked = look(ctx.documents, options, begin, end, logged)
        following.note(ctx, policy.name, looked.set_aside)
        decisions = _decide(ctx, policy, options, stands, looked)
        is_idle = True
        for decision in _within_the_hour(options, stands, looked, decisions):
            item = item_of(ctx.vault, decision, looked.accounts)
            if item.key not in stands.names:
                is_idle = False
                yield item
        if is_idle:
            marks.keep(ctx, policy, begin, before, looked.tallies)

    def perform(self, ctx: PerformContext, policy: Policy, items: Sequence[Item]) -> Outcomes:
        outcomes = Outcomes()
        for item in items:
            outcomes += acting.perform(ctx, policy, item)
        return outcomes


def _decide(
    ctx: TaskContext, policy: Policy, options: LockoutOptions, stands: Known, looked: Looked
) -> Iterator[Decision]:
    logged_in = following.logged_in(ctx, policy.name, options)
    may_block = objections(ctx.documents, options, stands.allowed, logged_in)
    not_before = ctx.as_of - options.threshold.within.delta
    break_glass = break_glass_of(ctx.documents, options)
    evaluator = Evaluator(rules_of(options, may_block, break_glass, not_before), stands.facts)
    for event in looked.events:
        yield from evaluator.add(event)


def _within_the_hour(
    options: LockoutOptions, stands: Known, looked: Looked, decisions: Iterator[Decision]
) -> Iterator[Decision]:
    """A name that no account bears is not locked; beyond so many locks a person decides."""
    left = options.locks_per_hour - stands.locks_in_the_hour
    for decision in decisions:
        if decision.kind != "lock":
            yield decision
        elif decision.user not in looked.accounts:
            continue
        elif left > 0:
            left -= 1
            yield decision
        else:
            quiet = decision.at + timedelta(hours=1)
            yield replace(decision, kind="alert", why="lock_withheld", until=quiet)
