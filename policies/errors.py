"""The root of Tend's one error tree; the engine's branches are in `worker.errors`."""


class TendError(Exception):
    """Something Tend can say in one sentence: what is wrong, where, and what to do.

    `code` is stable and free of personal data, so that records can carry it;
    `exit_code` is what the command line ends with (documented in `docs/cli.md`).
    """

    code = "error"
    exit_code = 1


class PolicyError(TendError):
    """A policy file cannot be used; the message names file, line and key."""

    code = "policy_invalid"
    exit_code = 2
