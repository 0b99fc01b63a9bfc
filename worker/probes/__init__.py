"""Probes in the engine: when they look, how long, what looks in a row mean, who is told."""
