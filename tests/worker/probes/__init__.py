"""The probes in the engine."""
