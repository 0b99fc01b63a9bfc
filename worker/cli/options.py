"""The arguments and options that several commands share, each with one wording."""

from typing import Annotated

import typer

PolicyName = Annotated[str, typer.Argument(metavar="POLICY", help="A policy's name.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, such as r-1042.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who read the audit.")]
OnBehalfOf = Annotated[
    str | None, typer.Option("--on-behalf-of", help="For whom, in addition to who you are.")
]
Where = Annotated[
    str | None,
    typer.Option("--where", help="Only records that also match: field=value, or a selector."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many records.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the run to its end.")]
Inline = Annotated[
    bool, typer.Option("--inline", help="Do the work in this process, without worker and Redis.")
]
