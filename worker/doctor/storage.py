"""Where before-images go: the archive store, and the keys that seal it."""

from contextlib import ExitStack
from uuid import uuid4

from sqlalchemy import select

from worker.archive import ArchiveStore
from worker.doctor.check import Check, Site, Verdict, failed, listed, ok, warning
from worker.doctor.control import opened
from worker.errors import ArchiveError
from worker.keys import Keyring, RunKey
from worker.logs import safe_text
from worker.tables import FamilyKey, Run
from worker.targets.base import Images, RecordOutcome

_PROBE = "doctor-"


def _store(site: Site) -> Verdict:
    """Write, read and remove an object as a run would."""
    store = ArchiveStore(site.settings.need("archive_url"))
    key, folder = RunKey.new(), _PROBE + uuid4().hex
    probe = RecordOutcome(folder, "probe")
    with ExitStack() as afterwards:
        afterwards.callback(store.destroy, folder)
        ref = store.write(key, f"{folder}/apply-0.1.0.bson.zst", Images(others=[probe]))
        found = list(store.read(key, ref))
    if found != [probe]:
        return failed("The archive store returns other bytes than were written; use another one.")
    return ok("The archive store takes, returns and removes an object.")


def _keys(site: Site) -> Verdict:
    keyring = Keyring.from_settings(site.settings)
    key = RunKey.new()
    if keyring.unwrap(keyring.wrap(key)) != key:
        return failed("The keys do not open what they sealed; replace the first of TEND_KEYS.")
    return ok("The keys seal and open.")


def _keys_of_runs(site: Site) -> Verdict:
    """Whether a run that can still be undone could be: keys get lost when they are rotated."""
    keyring = Keyring.from_settings(site.settings)
    with opened(site) as control, control.transaction() as session:
        runs = session.execute(
            select(Run.id, Run.key).where(Run.key.is_not(None)).order_by(Run.id.desc())
        ).all()
    lost, why = [], ""
    for run_id, wrapped in runs:
        try:
            keyring.unwrap(wrapped or b"")
        except ArchiveError as error:
            lost.append(f"r-{run_id}")
            why = safe_text(error)
    if lost:
        return failed(f"{len(lost)} of {len(runs)} archives stay shut, such as {lost[0]}'s. {why}")
    return ok(f"The keys open the archives of all {len(runs)} runs that have one.")


def _keys_of_families(site: Site) -> Verdict:
    """The same for credentials of stores, evidence of lockouts and whatever else stays sealed."""
    keyring = Keyring.from_settings(site.settings)
    with opened(site) as control, control.transaction() as session:
        rows = session.execute(
            select(FamilyKey.family, FamilyKey.key).order_by(FamilyKey.family)
        ).all()
    lost, old = [], []
    for family, wrapped in rows:
        try:
            if keyring.renewed(wrapped) is not None:
                old.append(family)
        except ArchiveError:
            lost.append(family)
    if lost:
        return failed(
            f"None of the keys in TEND_KEYS opens what was sealed for {listed(lost)}; add the key "
            "that was in use before to the end of TEND_KEYS."
        )
    if old:
        return warning(
            f"What was sealed for {listed(old)} still takes an older one of TEND_KEYS; restart "
            "`tend scheduler`, which renews it, before that key is dropped."
        )
    return ok(f"The first key opens what was sealed for {len(rows)} families.")


def _strangers(site: Site) -> Verdict:
    """What lies in the store beside our own runs: nothing removes it, for it may be another's."""
    with opened(site) as control, control.transaction() as session:
        ours = set(session.scalars(select(Run.token)))
    store = ArchiveStore(site.settings.need("archive_url"))
    strange = {name for name in store.folders() - ours if not name.startswith(_PROBE)}
    if strange:
        return ok(
            f"{len(strange)} folders of the archive store are of no run in this control database: "
            "another site's, or left from before the database was restored. Tend removes none of "
            "them."
        )
    return ok("Every folder of the archive store is of a run in this control database.")


CHECKS = (
    Check("archive", "TEND_ARCHIVE_URL", _store),
    Check("archive_folders", "TEND_DATABASE_URL", _strangers),
    Check("keys", "TEND_KEYS", _keys),
    Check("keys_of_runs", "TEND_KEYS", _keys_of_runs),
    Check("keys_of_families", "TEND_KEYS", _keys_of_families),
)
