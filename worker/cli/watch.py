"""`tend watch`: a run as it goes on, until it is over or waits for a person."""

from worker import runs as store
from worker.cli import context, endings, options, output, working
from worker.cli.runs import show_run
from worker.documents import runs as documents


def watch(run: options.RunId, as_json: options.Json = False) -> None:
    """Show how far a run is, how fast, and what it waits for; Ctrl-C leaves it to go on.

    Ends as the run does, with its exit code.
    """
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with context.control(settings) as database:
        try:
            working.follow(database, run_id)
        except output.Interrupted as detached:
            output.say(str(detached))
        document = documents.one(database, run_id)
    if as_json:
        output.print_json(document)
    else:
        show_run(output.console(), document)
    endings.finish(document)
