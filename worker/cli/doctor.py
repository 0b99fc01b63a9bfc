"""`tend doctor`: is everything there that Tend needs, and what to do where it is not?"""

from dataclasses import asdict
from typing import Annotated

import typer

from worker.cli import context, options, output
from worker.cli.grants import print_grants
from worker.doctor import examine
from worker.doctor.check import Site


def doctor(
    grants: Annotated[
        bool, typer.Option("--grants", help="Print the database roles instead.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check every connection, version, clock, key, index and heartbeat; 1 if one has failed."""
    if grants:
        print_grants(as_json=as_json)
        return
    settings = context.load_settings()
    findings = examine(Site(settings))
    failures = sum(finding.status == "failed" for finding in findings)
    if as_json:
        output.print_json({"ok": not failures, "checks": [asdict(each) for each in findings]})
    else:
        out = output.console()
        rows = ((each.status, each.check, each.says) for each in findings)
        output.table(out, ("status", "check", "finding"), rows)
        output.heading(out, settings.env, f"{failures} of {len(findings)} checks failed")
    if failures:
        raise typer.Exit(1)
