"""The texts of policies over a period: each version, what it changed, and who said yes to it."""

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import comparing
from worker.evidence.facts import Document, Facts
from worker.tables import Run, Switch


def of_period(session: Session, facts: Facts) -> tuple[list[Document], dict[tuple[str, str], str]]:
    """What is said of each policy, and the texts by policy and version, as far as they are there.

    The text of a version is kept with its runs and with the policy's switch.
    """
    texts: dict[tuple[str, str], str] = {}
    said = []
    for policy, versions in sorted(facts.versions.items()):
        found = {version: _text(session, policy, version) for version in versions}
        texts |= {(policy, version): text for version, text in found.items() if text is not None}
        said.append({"policy": policy, "versions": _versions(policy, versions, found, facts)})
    return said, texts


def _versions(
    policy: str, versions: dict[str, str], found: dict[str, str | None], facts: Facts
) -> list[Document]:
    said: list[Document] = []
    before: str | None = None
    for version, at in versions.items():
        text = found[version]
        known = before is not None and text is not None
        said.append(
            {
                "version": version,
                "first_seen": at,
                "text": None if text is None else f"policies/{policy}/{version}.json",
                "changes": comparing.changes(str(before), str(text)) if known else [],
                "enabled": _of(facts.of("policies"), policy, version),
                "decisions": _of(facts.of("approvals"), policy, version),
            }
        )
        before = text or before
    return said


def _of(events: Iterable[Document], policy: str, version: str) -> list[Document]:
    return [one for one in events if (one["policy"], one["policy_version"]) == (policy, version)]


def _text(session: Session, policy: str, version: str) -> str | None:
    kept = select(Run.policy_text).where(Run.policy == policy, Run.policy_version == version)
    text: Any = session.scalar(kept.limit(1))
    if text is None:
        switch = session.get(Switch, policy)
        text = switch.enabled_text if switch is not None else None
    is_it = text is not None and hashlib.sha256(text.encode()).hexdigest() == version
    return str(text) if is_it else None
