"""The throttle: a target's indicators say go, slow or stop, and why."""
