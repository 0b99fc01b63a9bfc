"""`tend doctor --grants`: the roles that the policies need, to be read and then typed."""

from contextlib import closing

from policies.models import Policy
from worker.cli import context, output
from worker.doctor.check import CONNECT_SECONDS
from worker.grants import control, mongo, sql
from worker.settings import Settings, mongo_database
from worker.targets.kinds import kinds_set
from worker.targets.sql_server import SqlServer


def print_grants(*, as_json: bool) -> None:
    """The roles for each kind of target that is set."""
    settings = context.load_settings()
    policies = [loaded.policy for loaded in context.load_policies(settings)]
    kinds = kinds_set(settings)
    database = str(mongo_database(settings.need("mongo_url"))) if "mongo" in kinds else None
    # No server is asked: a role can be made before there is anybody who has it.
    roles = mongo.roles(policies, database) if database else []
    users = mongo.users(database) if database else []
    statements = _sql(settings, policies) if "sql" in kinds else []
    url = settings.database_url
    has_users = url is not None and control.is_server(url.get_secret_value())
    own = list(control.statements()) if has_users else []
    if as_json:
        output.print_json({"mongo": roles, "mongo_users": users, "sql": statements, "control": own})
        return
    out = output.console()
    if roles:
        out.print(f"// MongoDB: in mongosh, after `use {database}`, by a user who may make roles.")
        out.print(f"// {mongo.TRIAL} is for a read-only trial and for TEND_MONGO_READ_URL,")
        out.print(f"// {mongo.WORK} for TEND_MONGO_URL; each has a user of its own.")
        for command in mongo.commands(roles, users):
            out.print(command)
    if statements:
        out.print(f"-- PostgreSQL: by the owner of the tables, who may grant {sql.MONITOR}.")
        out.print(f"-- {sql.TRIAL} is for a read-only trial and for TEND_SQL_READ_URL,")
        out.print(f"-- {sql.WORK} for TEND_SQL_URL; grant each to a user of its own.")
        for statement in statements:
            out.print(output.printable(statement))
    elif "sql" in kinds:
        out.print("-- SQLite knows no users: whoever may write the file may change everything.")
    if own:
        out.print(
            "-- The control database: by the owner of its tables, after `tend migrate`, which"
        )
        out.print("-- takes TEND_DATABASE_OWNER_URL. Grant it to the user in TEND_DATABASE_URL.")
        for statement in own:
            out.print(output.printable(statement))


def _sql(settings: Settings, policies: list[Policy]) -> list[str]:
    with (
        closing(SqlServer(settings.need("sql_url"))) as server,
        server.reading(server.name, CONNECT_SECONDS, primary=True) as transaction,
    ):
        if transaction.dialect == "sqlite":
            return []
        return sql.statements(policies, transaction)
