"""Targets: select, snapshot, change and restore, each behind a fence."""
