"""`tend audit list`, `verify` and `reanchor`: the record, and whether it is whole."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

import typer

from worker.audit import anchors, reanchoring, search
from worker.audit.findings import Report
from worker.audit.search import Search
from worker.audit.signing import Signer
from worker.cli import context, evidence, options, output
from worker.cli.filters import filtered
from worker.documents import audit as documents
from worker.tables import Entry

app = typer.Typer(add_completion=False, no_args_is_help=True)
evidence.add_to(app)

SHOWN = 50
_DIGEST = 64


@app.command("list")
@filtered
def list_entries(
    wanted: Search,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = SHOWN,
    before: Annotated[
        int | None, typer.Option("--before", metavar="ENTRY", help="Only older entries.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List audit entries, the newest last."""
    wanted = wanted.model_copy(update={"limit": limit, "before": before})
    settings = context.load_settings()
    with context.control(settings) as database:
        policies = partial(context.load_policies, settings)
        found, more = documents.listed(database, policies, wanted)
    if as_json:
        output.print_json({"entries": [search.as_json(each) for each in found], "next": more})
        return
    out = output.console()
    output.heading(out, settings.env, f"{len(found)} entries" if found else "no entries")
    names = ("entry", "at", "run", "policy", "action", "who", "detail")
    output.table(out, names, (_row(entry) for entry in found))


@app.command()
def verify(
    full: Annotated[
        bool, typer.Option("--full", help="From the first entry on, whatever was verified before.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Recompute the log, and hold it against its signatures and the runs; 1 if anything is off."""
    settings = context.load_settings()
    with context.control(settings) as database:
        report = documents.verified(settings, database, full=full)
    if as_json:
        output.print_json(documents.verdict(report))
    else:
        _show(report, settings.env)
    if report.faults:
        raise typer.Exit(1)


@app.command()
def reanchor(
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let Tend go on with a log that is not what its anchor says: an old backup was restored."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    signer = Signer.from_settings(settings)
    with context.control(settings) as database:
        head = reanchoring.reanchor(database, signer, anchors.from_settings(settings), person)
    if as_json:
        output.print_json({"origin": head.origin, "size": head.size, "root": head.root.hex()})
        return
    out = output.console()
    output.heading(out, settings.env, f"the log goes on as {head.origin}: {head.size:,} entries")


def _show(report: Report, environment: str) -> None:
    out = output.console()
    for finding in report.findings:
        out.print(output.printable(finding.says))
    if report.faults > len(report.findings):
        out.print(f"These are the first {len(report.findings):,} findings.")
    for note in report.notes:
        out.print(output.printable(f"Note: {note}"))
    from_where = f" from position {report.verified_from:,} on" if report.verified_from else ""
    looked_at = f"{report.entries:,} entries{from_where} of {report.runs:,} runs"
    still_open = f"; open claims: {report.open_claims:,}" if report.open_claims else ""
    found = f"{report.faults:,} findings" if report.faults else "nothing is off"
    output.heading(out, environment, f"{looked_at}: {found}{still_open}")
    output.facts(
        out,
        [
            ("integrity", _verdict(report.integrity, "is as it was written")),
            ("completeness", _verdict(report.completeness, "nothing is missing")),
        ],
    )
    out.print(_exposure(report))
    if report.waiting:
        out.print(f"{report.waiting:,} entries wait for the position that a scheduler gives them.")


def _exposure(report: Report) -> str:
    """What nothing outside the database can tell."""
    if report.exposed is None:
        return (
            "TEND_ANCHOR_URL is not set: nothing outside the database knows how long the log was."
        )
    after = f"after the checkpoint that was anchored at {report.anchored_at}"
    since = after if report.anchored_at else "and no checkpoint was anchored yet"
    return (
        f"{report.exposed:,} entries came {since}: what happened to them, nothing outside the "
        "database can tell."
    )


def _verdict(findings: int, well: str) -> str:
    return f"NOT PROVEN: {findings:,} findings" if findings else well


def _row(entry: Entry) -> tuple[str, ...]:
    shown = search.as_json(entry)
    body = shown["body"] if isinstance(shown["body"], dict) else {}
    return (
        str(entry.id),
        output.moment(entry.at) or "",
        shown["run"] or "",
        entry.policy or "",
        entry.action,
        entry.actor,
        " ".join(_in_words(body.get("detail"))),
    )


def _in_words(detail: Any) -> Iterator[str]:
    """A detail on one line: lists by their length, digests by their beginning, no empty parts."""
    for name, value in detail.items() if isinstance(detail, dict) else ():
        match value:
            case dict():
                yield from _in_words({inner: value[inner] for inner in value if value[inner]})
            case list():
                yield f"{name}={len(value)}"
            case str() if len(value) == _DIGEST:
                yield f"{name}={value[:12]}…"
            case _ if value is not None:
                yield f"{name}={value}"
