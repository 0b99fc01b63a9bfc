"""The engine's scenario, for a job's own test."""

from tests.worker.conftest import control, keyring, scenario

__all__ = ["control", "keyring", "scenario"]
