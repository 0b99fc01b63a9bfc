"""The control database's tables: the one truth about runs, chunks, schedules and entries."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from jobs import tables
from worker import families
from worker.states import State

Table = tables.Table


class Run(Table):
    """One execution of a policy; a due time that led to none is a row in state `skipped`."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("policy", "scheduled_for"),
        Index("ix_runs_policy", "policy", "id"),
        Index("ix_runs_policy_state", "policy", "state", "id"),
        Index("ix_runs_policy_version", "policy", "policy_version"),
        Index("ix_runs_state", "state", "id"),
        Index("ix_runs_state_since", "state", "created_at"),
        Index("ix_runs_created_at", "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(32), default=lambda: uuid4().hex)
    """Names the run in fences and archives, which may have seen its id before."""
    policy: Mapped[str] = mapped_column(String(64))
    collection: Mapped[str | None]
    """Target and collection whose records the policy plans; `RunCollection` has all it writes."""
    policy_version: Mapped[str] = mapped_column(String(64))
    policy_text: Mapped[str]
    environment: Mapped[str] = mapped_column(String(32))
    revision: Mapped[str | None] = mapped_column(String(64))
    """TEND_REVISION of the process that made the run."""
    state: Mapped[State] = mapped_column(String(24))
    phase: Mapped[str] = mapped_column(String(8), default="plan")
    """plan, apply, settle, undo, or only (an undo of single records): what `resume` continues."""
    trigger: Mapped[str] = mapped_column(String(8))
    scheduled_for: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    throttle: Mapped[dict[str, Any] | None]
    """What the target says (slow, stop, or go with a remark), why, and since when."""
    throttled_until: Mapped[datetime | None]
    """While a stop holds: when the target is asked again."""
    apply_after_plan: Mapped[bool]
    is_look: Mapped[bool] = mapped_column(server_default=false())
    """A scheduled look of a task that has found nothing so far: it has no entry, and goes if that
    stays so."""
    inline: Mapped[bool] = mapped_column(server_default=false())
    """True while the work belongs to one command-line process; workers leave it alone."""

    actor: Mapped[str]
    actor_proof: Mapped[str] = mapped_column(String(8))
    on_behalf_of: Mapped[str | None]
    reason: Mapped[str]
    asked_by: Mapped[list[Any]] = mapped_column(default=list)
    """Each person who asked for the change: name, proof, account. Empty for a schedule's own."""
    applied_by: Mapped[str | None]
    approval_cause: Mapped[str | None]
    """Why the plan had to wait for another person."""
    overrides: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The guards that were overridden for this plan: by whom and why."""
    decided_by: Mapped[str | None]
    """Who approved or rejected it."""
    decision: Mapped[str | None]
    """Why they did."""
    narrowing: Mapped[dict[str, Any]] = mapped_column(default=dict)

    as_of: Mapped[datetime | None]
    cutoff: Mapped[datetime | None]
    selector: Mapped[dict[str, Any] | None]
    planned: Mapped[int] = mapped_column(default=0)
    population: Mapped[int | None]
    remaining: Mapped[dict[str, Any] | None]
    """What the selector still finds after the run: total, and the part each cause explains."""
    digest: Mapped[str | None] = mapped_column(String(64))
    preview: Mapped[dict[str, Any] | None]
    """Counts, guards, sums and estimates of the plan; holds no field values."""
    sample: Mapped[bytes | None]
    """Sealed with the run's key: a few records before and after."""
    key: Mapped[bytes | None]
    """The run's key, wrapped; destroyed when the archive expires."""

    refusal: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    applying_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]
    rescues: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    """While a worker plans or verifies; chunks carry leases of their own."""
    lease_token: Mapped[str | None] = mapped_column(String(32))
    expires_at: Mapped[datetime | None]
    """When an unapplied plan, or the archive of an applied one, expires."""
    mirrored_at: Mapped[datetime | None]


class RunCollection(Table):
    """A target and collection that a run may write to: one run writes there at a time."""

    __tablename__ = "run_collections"
    __table_args__ = (Index("ix_run_collections_collection", "collection"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    collection: Mapped[str] = mapped_column(primary_key=True)


class Chunk(Table):
    """A slice of a plan: the unit of claiming, of leases and of audit."""

    __tablename__ = "chunks"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    """apply or undo."""
    number: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[int | None]
    """Of an undo chunk, the number of the chunk whose records it takes back."""
    items: Mapped[int]
    payload: Mapped[bytes | None]
    """The keys, compressed and sealed with the run's key; of an undo, the one record it is for."""
    state: Mapped[str] = mapped_column(String(8), default="pending")
    """pending, claimed, done, failed, or stopped with the run."""
    attempt: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    rescues: Mapped[int] = mapped_column(default=0)
    retries: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    changed_since: Mapped[int] = mapped_column(default=0)
    gone: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    held: Mapped[int] = mapped_column(default=0)
    uncertain: Mapped[int] = mapped_column(default=0)
    judged_again: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A later undo judges these records anew: its conflicts count, and these no longer."""
    holds_seen: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """The latest hold that the batch at work was compiled with."""
    cascade: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """By collection, the records that went with its items, or with an undo came back."""
    children: Mapped[int] = mapped_column(default=0)
    """The sum of `cascade`."""
    archives: Mapped[list[Any]] = mapped_column(default=list)
    """Name, SHA-256 and counts of every archive object the fence says was committed."""
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class Entry(Table):
    """An audit entry; `body` is the canonical text that `leaf_hash` is taken of."""

    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_run_id", "run_id", "id"),
        Index("ix_entries_policy", "policy", "id"),
        Index("ix_entries_actor", "actor", "id"),
        Index("ix_entries_action", "action", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(32))
    run_id: Mapped[int | None]
    policy: Mapped[str | None] = mapped_column(String(64))
    actor: Mapped[str]
    body: Mapped[bytes]
    leaf_hash: Mapped[str] = mapped_column(String(64))


class Unsequenced(Table):
    """An entry that has no position yet: written with it, removed by the sequencer."""

    __tablename__ = "unsequenced_entries"

    entry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry: Mapped[Entry] = relationship(
        primaryjoin="foreign(Unsequenced.entry_id) == Entry.id", lazy="raise"
    )


class Position(Table):
    """Where an entry stands in the Merkle log: from 0, without gaps, and never changed."""

    __tablename__ = "entry_positions"

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[int] = mapped_column(unique=True)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class Subtree(Table):
    """The root of a complete subtree of the Merkle log, so that a proof need not read it all.

    Level 8 is over 256 entries, 16 over 65,536; other levels are computed from these.
    """

    __tablename__ = "log_subtrees"

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class Checkpoint(Table):
    """A signed root over the first `size` entries; `note` is what was signed, the rest repeats."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_size", "size"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    origin: Mapped[str] = mapped_column(String(64))
    size: Mapped[int]
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[datetime]
    note: Mapped[str]


class Verification(Table):
    """A verification of the audit log; the next one begins where one that is signed has ended."""

    __tablename__ = "verifications"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    size: Mapped[int]
    """How many positions there were."""
    full: Mapped[bool]
    integrity: Mapped[int]
    completeness: Mapped[int]
    note: Mapped[str | None]
    """If nothing was off: size and root, signed."""


class Switch(Table):
    """Whether a policy's schedule may change data, and whether it fires at all."""

    __tablename__ = "switches"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    enabled_version: Mapped[str | None] = mapped_column(String(64))
    """The version that was enabled; any other text only observes."""
    enabled_text: Mapped[str | None]
    """The text that was enabled last, kept when it is disabled, to compare the next one with."""
    schedule_paused: Mapped[bool] = mapped_column(server_default=false())
    actor: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]


class Brake(Table):
    """A brake that is pulled; releasing it removes the row, and its entries stay."""

    __tablename__ = "brakes"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The policy it stops, or `*` for all of them."""
    everything: Mapped[bool]
    """Whether the one for all policies stops security jobs, too."""
    actor: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]


class Token(Table):
    """What proves who a person is; its text is known to nobody but them."""

    __tablename__ = "tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(8))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    created_account: Mapped[str | None]
    """The operating-system user and host of whoever made it."""
    reason: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]


class User(Table):
    """A person who logs in to the console with a password; disabling them keeps the row."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(8))
    password: Mapped[str]
    """Its argon2id hash, with salt and cost."""
    password_at: Mapped[datetime]
    password_by: Mapped[str]
    """Who set the password, and so knows it."""
    password_account: Mapped[str | None]
    """The operating-system user and host at which they did."""
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    reason: Mapped[str]
    disabled_at: Mapped[datetime | None]
    disabled_by: Mapped[str | None]


class LoginLink(Table):
    """Lets its holder log in as one user, once and soon."""

    __tablename__ = "login_links"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    created_account: Mapped[str | None]
    expires_at: Mapped[datetime]


class ProviderAccount(Table):
    """Whose a name is among those whom the login provider lets in: the first's who came with it."""

    __tablename__ = "provider_accounts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(String(80))
    """A digest of the issuer and of what it calls the account for ever."""
    created_at: Mapped[datetime]


class LoginAttempt(Table):
    """A login that has not succeeded: written before anything is checked, gone if it succeeds."""

    __tablename__ = "login_attempts"
    __table_args__ = (
        Index("ix_login_attempts_name", "name", "at"),
        Index("ix_login_attempts_address", "address", "at"),
        Index("ix_login_attempts_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(64))
    """A digest, since people type passwords into the wrong field."""
    address: Mapped[str] = mapped_column(String(64))
    """A digest of where it came from."""


class ConsoleSession(Table):
    """Somebody who is logged in to the console; the cookie holds what `digest` is taken of."""

    __tablename__ = "console_sessions"
    __table_args__ = (
        Index("ix_console_sessions_digest", "digest", unique=True),
        Index("ix_console_sessions_name", "name"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(8))
    way: Mapped[str] = mapped_column(String(8))
    """password, link, token or oidc: what showed who they are."""
    token: Mapped[str | None]
    """The id of the token they logged in with."""
    account: Mapped[str | None]
    """The account at the provider, as a digest."""
    vouched_by: Mapped[str | None]
    """Whoever else could have shown the same: who set the password, made the link or the token."""
    vouched_account: Mapped[str | None]
    vouched_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Hold(Table):
    """A legal hold on one subject; releasing it keeps the row."""

    __tablename__ = "holds"
    __table_args__ = (
        Index(
            "ix_holds_standing",
            "case",
            "subject",
            "value",
            unique=True,
            sqlite_where=text("released_at IS NULL"),
            postgresql_where=text("released_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    """A name of `holds/subjects.yaml`, such as userId."""
    value: Mapped[str] = mapped_column(String(256))
    salt: Mapped[bytes]
    """Keys the digest under which entries name `value`."""
    anticipatory: Mapped[bool]
    environment: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]
    released_by: Mapped[str | None]
    release_reason: Mapped[str | None]
    released_at: Mapped[datetime | None]


class Manifest(Table):
    """Which records a chunk changed, as lines that only their subjects' keys can read."""

    __tablename__ = "manifests"

    run_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """No foreign key: manifests outlive their run's row, as its entries do."""
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[int]
    root: Mapped[str] = mapped_column(String(64))
    """The Merkle root over the lines, which the manifest's entry bears, too."""
    counts: Mapped[dict[str, Any]]
    """How many records, by target and collection and by what became of them."""
    payload: Mapped[bytes]
    """The lines, sorted, each of the same length."""


class SubjectKey(Table):
    """What the key of one subject is made of; destroying it leaves the row with neither part."""

    __tablename__ = "subject_keys"
    __table_args__ = (
        Index("ix_subject_keys_digest", "digest", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[bytes | None]
    """Finds the subject without naming it: keyed with a secret that TEND_KEYS wrap."""
    salt: Mapped[bytes | None]
    made_at: Mapped[datetime]
    destroyed_at: Mapped[datetime | None]


class ScheduleCursor(Table):
    """Up to which due time a policy's schedule has been turned into rows."""

    __tablename__ = "schedule_cursors"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    schedule: Mapped[str]
    """The schedule's own text: a changed schedule starts anew from now."""
    through: Mapped[datetime]
    looked_at: Mapped[datetime | None]
    """When a look of its task last found nothing to do."""


class Doorbell(Table):
    """The outbox: a ring that is owed to the workers, written with what it announces."""

    __tablename__ = "doorbells"
    __table_args__ = (Index("ix_doorbells_due_at", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    due_at: Mapped[datetime]
    rings: Mapped[int] = mapped_column(default=1, server_default=text("1"))


class Process(Table):
    """A heartbeat of every scheduler and worker."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    measured: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))
    """What it uses, and how fast its targets answer."""


class Backlog(Table):
    """What a policy would have found when it was last counted, by one of the workers."""

    __tablename__ = "backlogs"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    records: Mapped[int | None]
    """None if it could not be counted."""
    at_least: Mapped[bool]
    """True when counting stopped before the end."""
    late_seconds: Mapped[int | None]
    """For how long the oldest of them is due; None where records have no date."""
    problem: Mapped[str | None]


class FamilyKey(Table):
    """The key of what a job family, Tend's own notices or manifests keep; wrapped by TEND_KEYS."""

    __tablename__ = "family_keys"

    family: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[bytes]
    at: Mapped[datetime]


class Notice(Table):
    """Something that people outside of Tend are told, once for each cause."""

    __tablename__ = "notices"
    __table_args__ = (Index("ix_notices_sent_at", "sent_at"), Index("ix_notices_at", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    cause: Mapped[str] = mapped_column(String(128), unique=True)
    """Names what it is about; a second notice of one cause is not sent."""
    urgent: Mapped[bool]
    text: Mapped[bytes]
    """Sealed: what a person reads, which may name users and addresses."""
    at: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[list[Any]] = mapped_column(default=list)
    """The digests of the channels that took it."""
    escalates: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Goes to those of TEND_ESCALATE_URLS, where there are any."""
    sent_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]


class Alert(Table):
    """A trouble that lasts until it is cleared; of one cause, one stands at a time."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "ix_alerts_standing",
            "cause",
            unique=True,
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
        Index("ix_alerts_settled_at", "settled_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(String(32))
    """A name in `worker/alerts/events.py`, whose severity it had when it was raised."""
    cause: Mapped[str] = mapped_column(String(128))
    severity: Mapped[str] = mapped_column(String(2))
    text: Mapped[bytes]
    """Sealed: what happened, what is unaffected, and the next command."""
    at: Mapped[datetime]
    told: Mapped[int | None]
    """The day of its life that people were last told of: 0 is the first message."""
    escalated_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledgement: Mapped[str | None]
    """Why they did, in their words."""
    cleared_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    """When it was cleared and everything about it was told."""


class ProbeState(Table):
    """A probe, and for one that every host looks at by itself, the host: when it looks next."""

    __tablename__ = "probes"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[str] = mapped_column(String(255), primary_key=True)
    """The host; empty where one worker looks for all."""
    next_at: Mapped[datetime]
    looking_until: Mapped[datetime | None]
    """While a worker looks; nobody else does before."""
    looked_at: Mapped[datetime | None]
    took_ms: Mapped[int | None]
    off: Mapped[str | None]
    """Why there is nothing to look at on this site."""
    remarks: Mapped[list[Any]] = mapped_column(default=list)


class ProbeTrouble(Table):
    """A subject that a check found ill, until enough looks in a row found it well."""

    __tablename__ = "probe_troubles"

    probe: Mapped[str] = mapped_column(String(64), primary_key=True)
    place: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(320), primary_key=True)
    check: Mapped[str] = mapped_column(String(32), primary_key=True)
    cause: Mapped[str] = mapped_column(String(320))
    ill: Mapped[int]
    """Looks in a row that found it ill, until it is raised."""
    well: Mapped[int]
    """Since it is raised, looks in a row that found it well."""
    raised: Mapped[bool]
    since: Mapped[datetime]
    says: Mapped[str]


class ProbeLook(Table):
    """What one look read, kept for a day to be plotted."""

    __tablename__ = "probe_looks"
    __table_args__ = (
        Index("ix_probe_looks_probe", "probe", "place", "at"),
        Index("ix_probe_looks_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    probe: Mapped[str] = mapped_column(String(64))
    place: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime]
    readings: Mapped[bytes]
    """Compressed: subject, check, value and whether it was ill, of each."""


families.import_tables()

OUTCOMES = ("changed", "changed_since", "gone", "failed", "held", "uncertain")
