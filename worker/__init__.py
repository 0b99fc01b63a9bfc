"""The engine: when, where, how fast, and the record of it."""
