"""Policies, brake and holds over HTTP."""

from tests.worker.console.api.conftest import WHY, Api


def test_a_policy_is_enabled_and_disabled_on_record(api: Api) -> None:
    assert api.does("/policies/sales-retention/enable")["state"] == "enabled"
    assert api.does("/policies/sales-retention/disable")["state"] == "observing"
    entries = api.get("/audit?policy=sales-retention")["entries"]
    assert [(each["action"], each["actor"]) for each in entries] == [
        ("policy_enabled", "operator-1"),
        ("policy_disabled", "operator-1"),
    ]


def test_a_policy_that_was_changed_on_disk_is_seen_without_a_restart(api: Api) -> None:
    before = api.get("/policies/sales-retention")
    api.tend.policy("sales-retention", "guards: {max_records: 7, max_percent: 1}\n")
    after = api.get("/policies/sales-retention")
    assert after["policy"]["guards"]["max_records"] == 7
    assert before["version"] != after["version"]


def test_the_brake_stops_one_policy_and_lets_it_go_on(api: Api) -> None:
    pulled = api.does("/brake/pull", policy="sales-retention")
    assert pulled["policies"]["stopped"] == ["sales-retention"]
    assert api.get("/brake") == pulled
    assert api.does("/brake/release", policy="sales-retention")["brakes"] == []
    none = api("POST", "/brake/release", WHY)
    assert (none.status, none.json["error"]["code"]) == (422, "usage")
    unknown = api("POST", "/brake/pull", {**WHY, "policy": "sales-retentoin"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "policy_unknown")


def test_a_hold_is_added_shown_and_released_by_those_who_may(api: Api) -> None:
    api.tend.shop.salesData.insert_one({"_id": 1, "userId": "u-1"})
    added = api.does("/holds/LEGAL-1/add", subject=["userId=u-1"])
    assert sum(match["records"] or 0 for match in added["matches"]) == 1
    assert api.get("/holds/LEGAL-1")["holds"] == added["holds"]
    denied = api("POST", "/holds/LEGAL-1/release", WHY)
    assert (denied.status, denied.json["error"]["code"]) == (403, "not_allowed")
    released = api.does("/holds/LEGAL-1/release", "approver")
    assert released["holds"][0]["released_by"] == "approver-1"
    assert api.get("/holds")["holds"] == []
    nothing = api("POST", "/holds/LEGAL-2/add", {**WHY, "subject": ["userId=nobody"]})
    assert (nothing.status, nothing.json["error"]["code"]) == (409, "hold_matches_nothing")
    unknown = api("GET", "/holds/LEGAL-3")
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "hold_unknown")
