"""Write the next revision: what `worker.tables` says and the revisions so far do not."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from worker import migrate
from worker.database import Database


def main(message: str) -> None:
    versions = Path(__file__).parent / "versions"
    number = len(list(versions.glob("v*.py"))) + 1
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/control.db")
        if number > 1:
            migrate.upgrade(database)
        with database.transaction() as session:
            config = migrate.config(session.connection())
            config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
        database.close()
    for written in versions.glob(f"v{number:04d}_*.py"):
        lines = written.read_text().splitlines(keepends=True)
        written.write_text("".join(line for line in lines if "# ###" not in line))


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
