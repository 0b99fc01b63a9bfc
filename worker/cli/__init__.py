"""The command line `tend`. `docs/cli.md` lists its commands, exit codes and JSON."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

from policies.errors import TendError
from worker import families


@dataclass(frozen=True)
class Command:
    """Where a command lives, and what it does in a line."""

    place: str
    does: str


_OWN = {
    "policies": Command("policies:app", "List the policies, or show one as it is in effect."),
    "status": Command("status:status", "Show what is overdue, at work and waiting."),
    "report": Command("report:app", "Report what is overdue, who had access, and what failed."),
    "indexes": Command("indexes:app", "List the indexes that are wanted, or create one."),
    "explain": Command("explain:explain", "Say what policies and past runs mean to one record."),
    "plan": Command("plans:plan", "Plan a policy and stop: what it would change, and how much."),
    "apply": Command("changes:apply", "Apply a plan exactly as it was frozen."),
    "approve": Command("approval:approve", "Let a plan that waits for another person go on."),
    "reject": Command("approval:reject", "End a plan that waits for another person."),
    "override": Command("approval:override", "Ask for approval although a guard tripped."),
    "run": Command("changes:run", "Plan and apply a policy in one."),
    "runs": Command("runs:runs", "List the latest runs."),
    "show": Command("runs:show", "Show one run: state, counts, who, why, what it waits for."),
    "records": Command("records:records", "List a run's records, each with its outcome and why."),
    "watch": Command("watch:watch", "Follow a run to its end; Ctrl-C leaves it to go on."),
    "pause": Command("pause:pause", "Stop a run at its next batch until it is resumed."),
    "resume": Command("changes:resume", "Continue a run that is paused or failed."),
    "cancel": Command("changes:cancel", "End a run; what it changed so far stays changed."),
    "undo": Command("changes:undo", "Take a run back from its archive; conflicts are left."),
    "brake": Command("brake:app", "Stop all change, or one policy's, and let it go on again."),
    "alerts": Command("alerts:app", "List the alerts that stand, or acknowledge one."),
    "hold": Command("hold:app", "Protect a subject's records from every purge and repair."),
    "enable": Command("policies:enable", "Let a policy's schedule change data."),
    "disable": Command("policies:disable", "Let a policy's schedule only plan and report."),
    "audit": Command("audit:app", "List, verify, export and prove what was done."),
    "token": Command("token:app", "Create, list or revoke the tokens that prove who is who."),
    "user": Command("user:app", "Create, list or disable the users of the console."),
    "migrate": Command("migrate:migrate", "Bring the control database to this version."),
    "probes": Command("probes:app", "Show what the probes see, the worst first, or look now."),
    "doctor": Command("doctor:doctor", "Check every connection, index, clock and heartbeat."),
    "scheduler": Command("scheduler:scheduler", "Run the process that fires the policies."),
    "worker": Command("worker:worker", "Run the processes that do the work."),
    "console": Command("console:console", "Run the process that answers over HTTP."),
}
COMMANDS = _OWN | {
    family.word: Command(f"{family.module}:app", family.does) for family in families.commands()
}
"""Tend's own, and those that job families bring."""


class _Commands(TyperGroup):
    """Loads a command only when it is called, for `tend --help` must not wait for drivers."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, loaded(str(name)), rest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error is one sentence, never a trace."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        result = typer.main.get_command(_tend()).main(words, "tend", standalone_mode=False)
    except TendError as error:
        return _report(as_json, error, error.code, error.exit_code)
    except typer.TyperException as error:
        return _report(as_json, TendError(_usage(error)), "usage", 2)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence
        return _report(as_json, _unexpected(error), "unexpected", 1)
    return result if isinstance(result, int) else 0


def _tend() -> typer.Typer:
    app = typer.Typer(cls=_Commands, add_completion=False, help="Keep production data in order.")
    for name, command in COMMANDS.items():
        app.command(name, help=command.does)(lambda: None)
    return app


def loaded(name: str) -> Any:
    """The command itself, with its options."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    if name in _OWN:
        found = getattr(import_module(f"worker.cli.{module}"), attribute)
    else:
        host = import_module("worker.cli.host").FamilyHost(module.split(".")[1])
        found = getattr(import_module(module), attribute)(host)
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name)(found)
        found = app
    admission = import_module("worker.cli.admission")
    return admission.guarded(name, typer.main.get_command(found))


def _usage(error: typer.TyperException) -> str:
    path = getattr(getattr(error, "ctx", None), "command_path", "tend")
    message = error.format_message().rstrip(".") or "A command is missing"
    return f"{message}; see `{path} --help`."


def _unexpected(error: Exception) -> TendError:
    from worker.logs import safe_text  # noqa: PLC0415 - drivers; `tend --help` does without

    if logging.getLogger().handlers:  # before they are configured, logs would show values
        logging.getLogger("tend").error("unexpected error", exc_info=error)
    return TendError(
        f"Something unexpected went wrong: {safe_text(error)}; with TEND_LOG=json the log on "
        "standard error says where."
    )


def _report(as_json: bool, error: TendError, code: str, exit_code: int) -> int:
    from worker.cli import output  # noqa: PLC0415 - drivers; `tend --help` does without

    output.report(error, code, as_json=as_json)
    return exit_code
