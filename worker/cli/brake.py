"""`tend brake`: stop all change, or one policy's, and let it go on again."""

from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.models import Policy
from worker import braking, stops
from worker.audit.entries import stamp
from worker.brake import EVERY_POLICY
from worker.braking import Affected
from worker.claims import WORKING
from worker.cli import context, options, output, working
from worker.cli.output import facts, heading, moment
from worker.cli.pause import await_batches
from worker.database import Database
from worker.errors import UnknownPolicy
from worker.logs import safe_text
from worker.settings import Settings

app = typer.Typer(add_completion=False)
PolicyOption = Annotated[str | None, typer.Option("--policy", help="Only this policy.")]


@app.command()
def pull(
    reason: options.Reason,
    policy: PolicyOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Stop the security jobs, too.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Stop all change at the next batch; returns when the batches at work have ended."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as database:
        if policy is not None:
            _must_exist(settings, database, policy)
        braking.pull(database, policy, person, everything=everything)
        await_batches(database, _is_at_work)
        _print(settings, database, as_json=as_json)


@app.command()
def release(
    reason: options.Reason,
    policy: PolicyOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Release every brake that is pulled.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let go on what a brake stopped."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as database:
        braking.release(database, policy, person, everything=everything)
        if settings.redis_url is not None:
            working.ring(settings, database)
        _print(settings, database, as_json=as_json)


@app.command()
def show(as_json: options.Json = False) -> None:
    """Which brakes are pulled, by whom and why, what stops and what goes on."""
    settings = context.load_settings()
    with context.control(settings) as database:
        _print(settings, database, as_json=as_json)


def _must_exist(settings: Settings, database: Database, policy: str) -> None:
    """A mistyped name must not look like a brake; one whose file is gone may still have runs."""
    with database.transaction() as session:
        if any(each.policy == policy for each in braking.affected(session)):
            return
    try:
        context.load_policies(settings).get(policy)
    except UnknownPolicy:
        raise
    except TendError as error:  # files that cannot be read must not keep anybody from braking
        output.say(f"Whether there is a policy {policy} is not known: {safe_text(error)}")


def _is_at_work(session: Session) -> bool:
    return any(each.is_stopped and each.is_at_work for each in braking.affected(session))


def _print(settings: Settings, database: Database, *, as_json: bool) -> None:
    with database.transaction() as session:
        document = _document(session, _policies(settings))
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    brakes = document["brakes"]
    heading(out, settings.env, "the brake is pulled" if brakes else "no brake is pulled")
    for each in brakes:
        facts(out, _facts(each))
    if brakes:
        rows = [("stops", name) for name in document["policies"]["stopped"]]
        rows += [("goes on", name) for name in document["policies"]["goes_on"]]
        rows += [("stops", _line(run)) for run in document["runs"]["stopped"]]
        rows += [("goes on", _line(run)) for run in document["runs"]["goes_on"]]
        facts(out, rows)


def _policies(settings: Settings) -> list[Policy]:
    """Those of the files; files that cannot be read must not keep anybody from braking."""
    try:
        return [each.policy for each in context.load_policies(settings)]
    except TendError as error:
        output.say(f"Which policies stop is not known: {safe_text(error)}")
        return []


def pulled_as_json(session: Session) -> list[dict[str, Any]]:
    """Every brake that is pulled, by whom and why."""
    return [
        {
            "policy": None if each.policy == EVERY_POLICY else each.policy,
            "everything": each.everything,
            "actor": each.actor,
            "reason": each.reason,
            "since": stamp(each.at),
        }
        for each in braking.pulled(session)
    ]


def _document(session: Session, policies: list[Policy]) -> dict[str, Any]:
    runs = braking.affected(session)
    stopped = {each.name for each in policies if stops.standing(session, each) is not None}
    return {
        "brakes": pulled_as_json(session),
        "policies": {
            "stopped": sorted(stopped),
            "goes_on": sorted({each.name for each in policies} - stopped),
        },
        "runs": {
            "stopped": [_as_json(each) for each in runs if each.is_stopped],
            "goes_on": [_as_json(each) for each in runs if not each.is_stopped],
        },
    }


def _as_json(run: Affected) -> dict[str, Any]:
    return {
        "id": f"r-{run.run_id}",
        "policy": run.policy,
        "state": str(run.state),
        "at_work": run.is_at_work,
        "why": _why(run),
    }


def _why(run: Affected) -> str | None:
    """Why a run is not stopped, or not yet."""
    if run.is_stopped:
        return "a batch that had begun is still at work" if run.is_at_work else None
    if run.state not in WORKING.values():
        return "it changes nothing now"
    return "a security job" if run.is_security else None


def _facts(brake: dict[str, Any]) -> list[tuple[str, str | None]]:
    everyone = "every policy" if brake["everything"] else "every policy but the security jobs"
    return [
        ("for", brake["policy"] or everyone),
        ("who", brake["actor"]),
        ("reason", brake["reason"]),
        ("since", moment(brake["since"])),
    ]


def _line(run: dict[str, Any]) -> str:
    why = f": {run['why']}" if run["why"] else ""
    return f"{run['id']} of {run['policy']}, {run['state']}{why}"
