"""Which role a command takes at least: the one table, for the command line, console and API.

Roles bind whoever comes with a token. Whoever holds the control database's own password could go
round Tend altogether; so without a token a person may do what an operator may, on their own word.
"""

from collections.abc import Mapping
from types import MappingProxyType

from worker.errors import NotAllowed
from worker.identity import DEVELOPMENT, Actor, Role

LEAST: Mapping[str, Role] = MappingProxyType(
    {
        "policies": Role.VIEWER,
        "policies show": Role.VIEWER,
        "policies diff": Role.VIEWER,
        "runs": Role.VIEWER,
        "show": Role.VIEWER,
        "watch": Role.VIEWER,
        "records": Role.VIEWER,
        "explain": Role.VIEWER,
        "status": Role.VIEWER,
        "indexes": Role.VIEWER,
        "indexes create": Role.OPERATOR,
        "report retention": Role.VIEWER,
        "report access": Role.VIEWER,
        "report failures": Role.VIEWER,
        "audit list": Role.VIEWER,
        "audit verify": Role.VIEWER,
        "audit export": Role.VIEWER,
        "audit bundle": Role.VIEWER,
        "audit receipt": Role.OPERATOR,
        "doctor": Role.VIEWER,
        "probes": Role.VIEWER,
        "probes show": Role.VIEWER,
        "probes run": Role.OPERATOR,
        "brake show": Role.VIEWER,
        "lockout list": Role.OPERATOR,
        "lockout explain": Role.OPERATOR,
        "lockout report": Role.VIEWER,
        "lockout replay": Role.OPERATOR,
        "lockout release": Role.OPERATOR,
        "lockout lock": Role.OPERATOR,
        "lockout block": Role.OPERATOR,
        "lockout allow": Role.OPERATOR,
        "pos status": Role.VIEWER,
        "pos steps": Role.VIEWER,
        "pos check": Role.OPERATOR,
        "pos sync": Role.OPERATOR,
        "pos mute": Role.OPERATOR,
        "pos credentials set": Role.OPERATOR,
        "hold list": Role.VIEWER,
        "hold show": Role.VIEWER,
        "token list": Role.VIEWER,
        "alerts": Role.VIEWER,
        "alerts show": Role.VIEWER,
        "alerts ack": Role.OPERATOR,
        "user list": Role.VIEWER,
        "plan": Role.OPERATOR,
        "apply": Role.OPERATOR,
        "run": Role.OPERATOR,
        "pause": Role.OPERATOR,
        "resume": Role.OPERATOR,
        "cancel": Role.OPERATOR,
        "undo": Role.OPERATOR,
        "brake pull": Role.OPERATOR,
        "brake release": Role.OPERATOR,
        "hold add": Role.OPERATOR,
        "enable": Role.OPERATOR,
        "disable": Role.OPERATOR,
        "migrate": Role.OPERATOR,
        "scheduler": Role.OPERATOR,
        "worker": Role.OPERATOR,
        "console": Role.OPERATOR,
        "approve": Role.APPROVER,
        "reject": Role.APPROVER,
        "override": Role.APPROVER,
        "hold release": Role.APPROVER,
        "audit forget": Role.APPROVER,
        "audit reanchor": Role.APPROVER,
        "audit prune": Role.ADMIN,
        "token create": Role.ADMIN,
        "token revoke": Role.ADMIN,
        "user create": Role.ADMIN,
        "user password": Role.ADMIN,
        "user disable": Role.ADMIN,
        "user logout": Role.ADMIN,
        "user link": Role.ADMIN,
    }
)

OPTIONS: Mapping[str, Role] = MappingProxyType({"records --reveal": Role.OPERATOR})
"""Options that take more than their command does."""


def least(command: str) -> Role:
    """The role that a command takes; one that nobody has put into the table takes an admin."""
    return LEAST.get(command) or OPTIONS.get(command, Role.ADMIN)


def must_allow(command: str, actor: Actor, environment: str) -> None:
    """Raise `NotAllowed` when whoever asks may not.

    What an admin does decides by itself about a claimed identity: somebody makes the first token.
    """
    needed = least(command)
    if actor.role is None:
        if needed == Role.APPROVER and environment != DEVELOPMENT:
            raise NotAllowed(
                f"`tend {command}` takes a token outside of development: set TEND_TOKEN to an "
                "approver's, which an admin makes with `tend token create`."
            )
    elif not actor.role.includes(needed):
        raise NotAllowed(
            f"{actor.name} is {_a(actor.role)}, and `tend {command}` takes {_a(needed)}; an admin "
            "gives roles with `tend token create`."
        )


def _a(role: Role) -> str:
    return f"{'an' if role[0] in 'ao' else 'a'} {role}"
