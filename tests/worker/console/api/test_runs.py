"""Runs over HTTP: asked for, watched, stopped and taken back, as the command line does it."""

from typing import Any

from tests.worker.console.api.conftest import WHY, Api
from worker import runs

SOLD = 12


def planned(api: Api, **narrowing: Any) -> str:
    """A plan of `sales-retention`, made by a worker."""
    asked = api.does("/policies/sales-retention/plan", **narrowing)
    assert (asked["state"], asked["actor"]) == ("queued", "operator-1")
    assert api.work(asked["id"])["state"] == "planned"
    return str(asked["id"])


def test_a_plan_is_read_applied_and_taken_back_as_the_command_line_does_it(api: Api) -> None:
    api.tend.old_sales(SOLD)
    run = planned(api)
    plan = api.get(f"/runs/{run}/plan")
    assert (plan["planned"], len(plan["plan"]["sample"])) == (SOLD, 10)
    assert api.tend.shop.salesData.count_documents({}) == SOLD
    assert api.does(f"/runs/{run}/apply")["state"] == "applying"
    done = api.work(run)
    assert (done["state"], done["changed"]) == ("succeeded", SOLD)
    assert api.tend.shop.salesData.count_documents({}) == 0
    would = api("GET", f"/runs/{run}/undo").json
    assert (would["restores"], would["conflicts"]) == (SOLD, 0)
    assert api.does(f"/runs/{run}/undo")["state"] == "undoing"
    assert api.work(run)["restored"] == SOLD
    assert api.tend.shop.salesData.count_documents({}) == SOLD


def test_each_read_is_the_document_that_the_command_prints(api: Api) -> None:
    api.tend.old_sales(SOLD)
    run = planned(api)
    for path, words in {
        "/runs": "runs",
        "/runs?policy=sales-retention&state=planned&limit=1": "runs --policy sales-retention",
        f"/runs/{run}": f"show {run}",
        "/policies/sales-retention": "policies show sales-retention",
        "/policies/sales-retention/diff": "policies diff sales-retention",
        "/brake": "brake show",
        "/holds?all=true": "hold list --all",
        "/audit?limit=3": "audit list --limit 3",
        "/lockouts": "lockout list",
    }.items():
        role = "operator" if path == "/lockouts" else "viewer"
        assert api.get(path, role) == api.tend.json(*words.split()), path


def test_narrowing_is_that_of_the_command_line(api: Api) -> None:
    api.tend.old_sales(SOLD)
    run = planned(api, where="_id=3", limit=5)
    assert api.get(f"/runs/{run}")["planned"] == 1
    wrong = api("POST", "/policies/sales-retention/plan", {**WHY, "where": "nonsense"})
    assert (wrong.status, wrong.json["error"]["code"]) == (422, "usage")


def test_pages_of_runs_follow_one_another_without_gap_or_repetition(api: Api) -> None:
    asked = [api.does("/policies/sales-retention/plan")["id"] for _ in range(5)]
    found: list[str] = []
    before = ""
    for _ in range(9):
        page = api.get(f"/runs?limit=2{before}")
        found += [run["id"] for run in page["runs"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert found == asked[::-1]


def test_a_run_is_paused_resumed_and_cancelled(api: Api) -> None:
    api.tend.old_sales(SOLD)
    run = planned(api)
    api.does(f"/runs/{run}/apply")
    assert api.does(f"/runs/{run}/pause")["state"] == "paused"
    assert api.does(f"/runs/{run}/resume")["state"] == "applying"
    assert api.does(f"/runs/{run}/cancel")["state"] == "cancelled"
    assert api.tend.shop.salesData.count_documents({}) == SOLD
    again = api("POST", f"/runs/{run}/cancel", WHY)
    assert (again.status, again.json["error"]["code"]) == (409, "state_forbidden")


def test_nobody_approves_their_own_plan_and_another_person_does(api: Api) -> None:
    api.tend.old_sales(SOLD)
    api.tend.policy(
        "sales-retention", "guards: {max_records: 99, max_percent: 100}\napproval: required\n"
    )
    run = planned_by(api, "approver")
    assert api.does(f"/runs/{run}/apply", "approver")["state"] == "awaiting_approval"
    own = api("POST", f"/runs/{run}/approve", WHY, as_="approver")
    assert (own.status, own.json["error"]["code"]) == (403, "not_allowed")
    assert "approver-1 asked for it" in own.json["error"]["message"]
    assert api.does(f"/runs/{run}/approve", "another")["state"] == "applying"
    assert api.work(run)["approval"]["decided_by"] == "approver-2"


def planned_by(api: Api, role: str) -> str:
    run: str = api.does("/policies/sales-retention/plan", role)["id"]
    assert api.work(run)["state"] == "planned"
    return run


def test_an_override_and_a_rejection_say_what_became_of_the_run(api: Api) -> None:
    api.tend.old_sales(SOLD)
    api.tend.policy("sales-retention", "guards: {max_records: 3, max_percent: 100}\n")
    run = api.does("/policies/sales-retention/run")["id"]
    assert api.work(run)["state"] == "refused"
    refused = api("POST", f"/runs/{run}/apply", WHY)
    assert (refused.status, refused.json["error"]["code"]) == (409, "guard_refused")
    asked = api.does(f"/runs/{run}/override", "approver", guard="max_records")
    assert asked["state"] == "awaiting_approval"
    assert api.does(f"/runs/{run}/reject", "another")["state"] == "rejected"


def test_records_are_streamed_masked_and_revealed_on_record(api: Api) -> None:
    api.tend.old_sales(SOLD)
    run = api.does("/policies/sales-retention/run")["id"]
    api.work(run)
    masked = api.get(f"/runs/{run}/records?outcome=changed")
    assert masked == api.tend.json("records", run, "--outcome", "changed")
    assert masked["counts"] == {"changed": SOLD}
    revealed = api.does(f"/runs/{run}/records")
    assert len(revealed["records"]) == SOLD
    (entry,) = api.get("/audit?action=records_revealed")["entries"]
    assert (entry["actor"], entry["run"]) == ("operator-1", run)
    assert entry["body"]["detail"]["reason"] == WHY["reason"]
    assert entry["body"]["actor_proof"] == "token"


def test_nobody_acts_at_the_account_of_the_consoles_own_process(api: Api) -> None:
    """It is one account for all, and by it two people would be taken for one."""
    run = api.does("/policies/sales-retention/plan")["id"]
    with api.database.transaction() as session:
        asked_by = runs.get(session, runs.parse_id(run)).asked_by
    assert asked_by == [{"name": "operator-1", "proof": "token", "account": None}]
