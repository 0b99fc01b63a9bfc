"""The engine's scenario, for a job's own test."""

from tests.worker.conftest import control, keyring, mongo_target, mongo_targets, scenario

__all__ = ["control", "keyring", "mongo_target", "mongo_targets", "scenario"]
