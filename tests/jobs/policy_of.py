"""A policy of one job, with the options a test is about."""

from typing import Any

from policies.models import Guards, Policy
from worker.registry import jobs


def policy_of(job: str, **options: Any) -> Policy:
    return Policy(
        name="a-test",
        job=job,
        description="Whatever a test needs.",
        options=jobs()[job].Options.model_validate({"collection": "things", **options}),
        guards=Guards(max_records=100, max_percent=100),
        undo="none",
    )
