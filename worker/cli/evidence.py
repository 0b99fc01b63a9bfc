"""What `tend audit` has for those who carry evidence away: exports, bundles, receipts."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from policies.entries import load_entry_retention
from policies.subjects import load_subjects
from worker import holding
from worker.audit.search import Search
from worker.audit.signing import Signer
from worker.cli import context, options, output
from worker.cli.filters import filtered
from worker.cli.output import moment
from worker.documents import audit as documents
from worker.evidence import export as exports
from worker.evidence import pruning
from worker.evidence.subject_keys import SubjectKeys
from worker.keys import Keyring
from worker.times import TIME, moment_of

SubjectOption = Annotated[
    str, typer.Option("--subject", help="Whose, such as userId=66f0c1d2e3a4b5c6d7e8f901.")
]


def add_to(app: typer.Typer) -> None:
    """Put these commands below `tend audit`."""
    app.command()(export)
    app.command()(bundle)
    app.command()(receipt)
    app.command()(forget)
    app.command()(prune)


@filtered
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    wanted: Search,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write entries to a file, one JSON document a line, and a statement of what it is."""
    settings = context.load_settings()
    with context.control(settings) as database:
        statement = documents.exported(settings, database, wanted, file, as_csv=as_csv)
    if as_json:
        output.print_json(statement)
        return
    out = output.console()
    output.heading(out, settings.env, f"{file}: {statement['count']:,} entries")
    output.say(f"{exports.statement_of(file)} says which they are and what was signed.")


def bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The zip to write.")],
    since: Annotated[str, typer.Option("--from", help=f"The period begins then. {TIME}")],
    until: Annotated[str, typer.Option("--to", help="It ends before then.")],
    policy: Annotated[str | None, typer.Option("--policy", help="Only of this policy.")] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, help="Draw so many runs and records, with proofs."),
    ] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", help="What the sample is drawn with; any text.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Write a zip that a reviewer checks without Tend: entries, proofs, policies, a summary."""
    settings = context.load_settings()
    first, end = moment_of("--from", since), moment_of("--to", until)
    wanted = documents.period(settings, first, end, policy, sample, seed)
    with context.control(settings) as database:
        statement = documents.bundled(settings, database, wanted, file)
    if as_json:
        output.print_json(statement)
        return
    out = output.console()
    output.heading(out, settings.env, f"{file}: {statement['entries']['count']:,} entries")
    output.say("Unpack it, read README.txt, and check it with `python3 -I verify.py`.")


def receipt(subject: SubjectOption, as_json: options.Json = False) -> None:
    """Say what became of one subject's records, when, and by which policy; --json has proofs."""
    settings = context.load_settings()
    with context.control(settings) as database:
        document = documents.receipt(settings, database, subject)
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    count = sum(len(one["lines"]) for one in document["changes"])
    output.heading(out, settings.env, f"{subject}: {count:,} records")
    names = ("run", "policy", "collection", "records", "became", "at", "last copy destroyed")
    output.table(out, names, (_row(one) for one in document["changes"]))


def forget(
    subject: SubjectOption,
    reason: options.Reason = "",
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Make what manifests say of a subject unreadable, for good; the log still verifies."""
    settings = context.load_settings()
    person = context.person(reason, on_behalf_of)
    named = holding.parse_subject(subject, load_subjects(settings.policy_directories))
    keyring = Keyring.from_settings(settings)
    with context.control(settings) as database:
        number = SubjectKeys.of(database, keyring).destroy(named, person)
    if as_json:
        output.print_json({"key": number, "subject": named[0]})
        return
    output.heading(output.console(), settings.env, f"key {number} of a {named[0]} is destroyed")


def prune(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle that holds them.")],
    reason: options.Reason = "",
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Remove old entries that a verified bundle holds; their hashes and all proofs stay."""
    settings = context.load_settings()
    person = context.person(reason, on_behalf_of)
    keep = load_entry_retention(settings.policy_directories).keep
    with context.control(context.as_owner(settings)) as database:
        signer = Signer.from_settings(settings)
        gone = pruning.prune(database, signer, settings.env, keep, file, person)
    if as_json:
        output.print_json(asdict(gone))
        return
    said = f"{gone.entries:,} entries and {gone.manifests:,} manifests are removed"
    output.heading(output.console(), settings.env, said)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    last = one["last_copy_destroyed_at"]
    expires = one["last_copy_expires_at"]
    copy = moment(last) if last else f"due {moment(expires)}" if expires else "not yet"
    return (
        one["run"],
        one["policy"] or "",
        one["collection"],
        f"{len(one['lines']):,}",
        one["became"],
        moment(one["at"]) or "",
        copy or "",
    )
