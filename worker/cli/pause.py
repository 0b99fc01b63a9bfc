"""`tend pause`: stop one run at its next batch until somebody resumes it."""

from worker import claims, operations
from worker import runs as store
from worker.cli import context, options, output
from worker.cli.runs import show_run
from worker.documents import runs as documents
from worker.standstill import await_batches


def pause(
    run: options.RunId,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Stop a run, or its undo, at the next batch; returns when the batches at work have ended."""
    person = context.person(reason, on_behalf_of)
    run_id = store.parse_id(run)
    with context.control(context.load_settings()) as database:
        operations.pause(database, run_id, person)
        await_batches(database, lambda session: claims.is_at_work(session, run_id))
        document = documents.one(database, run_id)
    if as_json:
        output.print_json(document)
    else:
        show_run(output.console(), document)
