"""Page one of a bundle in plain words, and the pages after it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.audit.entries import stamp
from worker.evidence.drawing import bars_of, stacked
from worker.evidence.facts import DECISIONS, EXCEPTIONS, LISTED, Document, Facts
from worker.evidence.pages import Block, Heading, NewPage, Plot, Points, Rows, Text

PROVES = (
    "Every entry here stands in Tend's log at its place, exactly as it is, since it was signed.",
    "Every checkpoint here is a beginning of the last one: nothing was removed or put in between.",
    "Each manifest has the root that its entry bears, each policy text the hash entries name.",
)
PROVES_WHOLE = "No entry between the first and the last of this bundle is left out."
CANNOT = (
    "That the key is Tend's: compare keys.txt with the public key that you were given before.",
    "What others than Tend did, or somebody with Tend's own credentials without Tend.",
    "That whoever has the signing key did not write the log anew: checkpoints kept elsewhere do.",
    "Who a person is whose identity is claimed: it is the operating-system user of a process.",
    "Whose records a manifest lists: that takes the subject's own key, see `tend audit receipt`.",
)
PARTIAL = "That nothing of other policies matters here: this bundle is of one policy alone."


@dataclass(frozen=True)
class About:
    """What a bundle is of."""

    environment: str
    since: datetime
    until: datetime
    policy: str | None
    made_at: datetime
    positions: range
    entries: int
    runs: int
    size: int
    root: str
    signed_at: datetime
    holds: int
    sampled: tuple[int, int] | None
    """How many runs and how many records were drawn."""


MEANS = {
    "missed_fires": "due times that led to no run",
    "refusals": "plans that were stopped before any change",
    "overrides": "guards that a person set aside for one plan",
    "failures": "runs that ended with an error",
    "undos": "changes that a person had taken back",
    "cancellations": "runs that a person ended",
    "brakes": "times that a brake was pulled or released",
    "paused_schedules": "schedules that stopped after an undo",
    "values_shown": "times that somebody looked at unmasked values",
    "keys_destroyed": "subjects whose lines nobody can read any longer",
}
"""What each kind of exception is, in plain words."""
WIDE = (3, 4, 6, 6)


def title(about: About) -> str:
    return f"Evidence of data changes by Tend: {about.environment}"


def blocks(about: About, facts: Facts, policies: Sequence[Document]) -> Iterator[Block]:
    yield Rows((), list(_population(about)), (1, 4))
    yield Heading("What happened")
    yield Rows((), list(_what_happened(facts)), (3, 2))
    yield Heading("What this proves")
    yield Points((*PROVES, *(() if about.policy else (PROVES_WHOLE,))))
    yield Text("Run `python3 -I verify.py` in the unpacked bundle to check all of it offline.")
    yield Heading("What this cannot prove")
    yield Points((*CANNOT, *((PARTIAL,) if about.policy else ())))
    yield NewPage()
    yield from _plots(about, facts)
    yield from _people(facts)
    yield from _policies(policies)
    for kind in (*EXCEPTIONS, *DECISIONS):
        if facts.of(kind):
            yield Heading(f"{_title(kind)}: {facts.number[kind]:,}")
            names = ("when (UTC)", "run", "policy", "who", "what")
            yield Rows(names, list(_events(facts, kind)), (5, 2, 5, 5, 9))


def readme(about: About, facts: Facts) -> str:
    """Page one as text."""
    lines = [title(about), "=" * len(title(about)), ""]
    lines += [f"{name}: {value}" for name, value in _population(about)]
    lines += ["", "What happened", "-------------"]
    lines += [f"{name}: {value}" for name, value in _what_happened(facts)]
    whole = () if about.policy else (PROVES_WHOLE,)
    partial = (PARTIAL,) if about.policy else ()
    lines += ["", "What this proves", "----------------"]
    lines += [f"- {sentence}" for sentence in (*PROVES, *whole)]
    lines += ["", "What this cannot prove", "----------------------"]
    lines += [f"- {sentence}" for sentence in (*CANNOT, *partial)]
    lines += ["", "To check it: python3 -I verify.py", ""]
    return "\n".join(lines)


def _population(about: About) -> Iterator[tuple[str, str]]:
    yield "Environment", about.environment
    yield "Period, UTC", f"from {_moment(about.since)} until before {_moment(about.until)}"
    yield "Filter", f"policy {about.policy}" if about.policy else "none: every policy"
    between = f"{about.positions.start:,} to {about.positions.stop - 1:,}"
    place = f"positions {between}" if about.positions else "no positions"
    yield "Population", f"{about.entries:,} entries of {about.runs:,} runs, {place}"
    yield (
        "Log",
        f"{about.size:,} entries under root {about.root}, signed {_moment(about.signed_at)}",
    )
    yield "Legal holds", f"{about.holds:,} stood at some time of the period, see holds.json"
    if about.sampled is not None:
        runs, records = about.sampled
        drawn = f"{runs} runs with all of their entries, and {records} changed records"
        yield "Sample", f"{drawn}, each with its proof, in sample.json"
    yield "Made", _moment(about.made_at)


def _what_happened(facts: Facts) -> Iterator[tuple[str, str]]:
    for place, counts in sorted(facts.records.items()):
        yield f"Records of {place}", _counted(counts)
    if not facts.records:
        yield "Records", "none was changed"
    yield "Runs that ended", _counted(facts.ended) or "none"
    for kind in EXCEPTIONS:
        yield f"{_title(kind)}: {MEANS[kind]}", f"{facts.number[kind]:,}"
    claimed = facts.claimed
    people = ", ".join(f"{name} ({count:,} entries)" for name, count in claimed.items())
    yield (
        "Claimed actors: people whose identity is their word",
        people or "none: whoever acted proved who they are",
    )


def _title(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def _moment(moment: datetime) -> str:
    """To the second, unless it is not a whole one."""
    text = stamp(moment).removesuffix("Z").removesuffix(".000000")
    return text.replace("T", " ")


def _short(text: str) -> str:
    return text[:19].replace("T", " ")


def _plots(about: About, facts: Facts) -> Iterator[Block]:
    first, last = about.since.date(), (about.until - timedelta(microseconds=1)).date()
    yield Heading("Day by day")
    records = bars_of(facts.by_day, first, last)
    yield Plot(stacked("Records, by what became of them", records))
    yield Plot(stacked("Runs, by how they ended", bars_of(facts.days_of_ends, first, last)))


def _people(facts: Facts) -> Iterator[Block]:
    yield Heading("Who acted")
    rows = [(name, proof, _counted(did)) for (name, proof), did in sorted(facts.actors.items())]
    yield (
        Rows(("who", "known by", "entries"), rows, (2, 1, 5))
        if rows
        else Text("Nobody but Tend itself.")
    )


def _policies(policies: Sequence[Document]) -> Iterator[Block]:
    yield Heading("Policies of the period")
    for policy in policies:
        rows = [
            (
                version["version"][:12],
                _short(version["first_seen"]),
                "; ".join(_change(one) for one in version["changes"]) or "",
                ", ".join(_who(one) for one in (*version["enabled"], *version["decisions"])),
            )
            for version in policy["versions"]
        ]
        names = (policy["policy"], "first seen", "what changed", "who said yes or no")
        yield Rows(names, rows, WIDE)


def _change(one: Document) -> str:
    return f"{one['key']}: {one['before']} → {one['after']}"


def _who(one: Document) -> str:
    return f"{one['actor']} ({one['actor_proof']}) {one['action']} {one['at'][:10]}"


def _events(facts: Facts, kind: str) -> Iterator[tuple[str, ...]]:
    for one in facts.of(kind)[:LISTED]:
        detail = one["detail"]
        what = detail.get("reason") or detail.get("cause") or ""
        more = detail.get("skipped") or detail.get("guard") or ""
        said = ": ".join(part for part in (one["action"], more, what) if part)
        who = f"{one['actor']} ({one['actor_proof']})"
        yield _short(one["at"]), one["run"] or "", one["policy"] or "", who, said
    if facts.number[kind] > LISTED:
        yield "", "", "", "", f"{facts.number[kind] - LISTED:,} more in exceptions.json"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count)
