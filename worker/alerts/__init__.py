"""Alerts: troubles that last, each told at first, daily and when it is over, until cleared."""
