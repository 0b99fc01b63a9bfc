"""`tend plan`: what a policy would change, computed in this process and written nowhere else."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from policies.models import Policy
from worker import operations, present, runs
from worker.cli import context, endings, options, output, working
from worker.cli.output import exact, facts, heading, moment, number
from worker.documents import runs as documents
from worker.engine import Engine
from worker.errors import ForbiddenArrow
from worker.narrowing import narrowing
from worker.operations import Person


def plan(
    policy: options.PolicyName,
    reason: options.Reason = "plan by hand",
    where: options.Where = None,
    limit: options.Limit = None,
    scan: Annotated[
        bool, typer.Option("--scan", help="Read without an index, up to a deadline.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Plan a policy in this process and stop: nothing is written to the target.

    Exits 3 if a guard refuses the plan, which is printed all the same.
    """
    settings = context.load_settings()
    person = context.person(reason, on_behalf_of)
    wanted = context.load_policies(settings).get(policy).policy
    narrowed = narrowing(where, limit)
    with (
        context.control(settings) as database,
        working.inline_engine(settings, database, person) as engine,
    ):
        run_id = plan_here(engine, wanted, settings.env, person, narrowed, scan=scan)
        run, plan = documents.planned(engine.database, engine.keyring, run_id)
    if as_json:
        output.print_json({**run, "plan": plan})
    else:
        show_plan(output.console(), run, plan)
    endings.finish(run)


def plan_here(
    engine: Engine,
    policy: Policy,
    environment: str,
    person: Person,
    narrowed: dict[str, Any],
    *,
    scan: bool = False,
) -> int:
    """Plan in this process and return the run's id; whoever applies it may be a worker."""
    engine.must_serve(policy)
    run_id = operations.request(
        engine.database,
        policy,
        environment,
        person,
        apply_after_plan=False,
        inline=True,
        narrowing=narrowed,
    )
    _must_be_free(engine, run_id, person)
    working.drive(engine, run_id, scan=scan)
    return run_id


def _must_be_free(engine: Engine, run_id: int, person: Person) -> None:
    """Runs of one policy go one at a time, and a person should not wait without knowing."""
    with engine.database.transaction() as session:
        other = runs.busy(session, runs.get(session, run_id))
    if other is not None:
        operations.cancel(engine, run_id, person)
        raise ForbiddenArrow(
            f"r-{other.id} of {other.policy} is {other.state}; wait for it or cancel it, then "
            "plan again."
        )


def show_plan(out: Console, run: present.Document, plan: present.Document) -> None:
    """Everything a person should read before saying yes; the last line is what to type next."""
    heading(out, run["environment"], f"{run['id']} of {run['policy']}: {run['state']}")
    facts(
        out,
        [
            ("records", _records(run, plan)),
            ("with them", present.cascade_in_words(plan["cascade"])),
            *(("cutoff", f"{name} before {exact(at)}") for name, at in plan["cutoffs"].items()),
            ("oldest", moment(plan["oldest"])),
            ("newest", moment(plan["newest"])),
            *_narrowed(plan["narrowing"]),
            *_held(plan["held"]),
            ("reported", present.reported_in_words(plan)),
            *(("will fail", f"{count:,} {code}") for code, count in plan["will_fail"].items()),
            *(
                ("quarantine", f"{count:,} {code}")
                for code, count in plan["will_quarantine"].items()
            ),
            *(("warning", f"{one['records']:,}: {one['say']}") for one in plan["warnings"]),
            *(
                ("sum", f"{name} {sums['before']} → {sums['after']}")
                for name, sums in plan["sums"].items()
            ),
            *(("guard", _guard(verdict)) for verdict in plan["guards"]),
            ("duration", _duration(plan["estimate"]["seconds"])),
            ("archive", f"{plan['estimate']['archive_bytes_at_most']:,} bytes at most"),
            ("expires", moment(plan["expires_at"])),
            ("policy version", run["policy_version"]),
            ("digest", run["digest"]),
        ],
    )
    _show_sample(out, plan["sample"])
    if plan["apply"]:
        out.print(plan["apply"])


def _records(run: present.Document, plan: present.Document) -> str:
    """How many of how many; a large population is not counted to its end."""
    about = "" if plan["population_is_exact"] else "about "
    return f"{run['planned']:,} of {about}{run['population']:,} ({about}{plan['percent']:g} %)"


def _held(count: int | None) -> list[tuple[str, str]]:
    if count == 0:
        return []
    how_many = "an uncounted number" if count is None else f"{count:,}"
    return [("held", f"{how_many} more match, and stay: a legal hold protects them")]


def _narrowed(narrowing: present.Document) -> list[tuple[str, str | None]]:
    return [("where", _where(narrowing.get("where"))), ("limit", number(narrowing.get("limit")))]


def _where(selector: Any) -> str | None:
    return None if selector is None else json.dumps(selector, ensure_ascii=False)


def _guard(verdict: present.Document) -> str:
    judged = "refuses" if verdict["tripped"] else "allows"
    allowed, actual = (f"{verdict[name]:,.10g}" for name in ("allowed", "actual"))
    return f"{verdict['guard']} {allowed}: {judged} {actual}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "no run of this policy yet"
    return f"about {seconds:,.0f} s at the pace of the last run"


def _show_sample(out: Console, sample: list[present.Document] | None) -> None:
    if not sample:
        return
    out.print(Text(f"  sample of {len(sample)}", style="dim"))
    output.table(out, ("  key", "before", "after"), (_example(one) for one in sample))


def _example(one: present.Document) -> tuple[str, str, str]:
    before, after = one["before"], one["after"]
    was = ", ".join(f"{name}: {value}" for name, value in before.items())
    if "left" in one:
        return "  " + str(one["key"]), was, f"left as it is: {one['left']}"
    if "quarantined" in one:
        return "  " + str(one["key"]), was, f"moved to the quarantine: {one['quarantined']}"
    if after is None:
        goes_too = present.cascade_in_words(one.get("cascade", {}))
        return "  " + str(one["key"]), was, f"deleted with {goes_too}" if goes_too else "deleted"
    changed = [f"{name}: {value}" for name, value in after.items() if before.get(name) != value]
    unset = [f"{name}: removed" for name in one["unset"]]
    return "  " + str(one["key"]), was, ", ".join([*changed, *unset])
