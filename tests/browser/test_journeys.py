"""What people do at the console, from the first page to the last, before real processes."""

import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from bson import ObjectId
from playwright.sync_api import Download, Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from demo.tend import command
from tests.browser.conftest import LogIn
from tests.browser.site import SALES, SLOW, Site
from tests.faults.processes import eventually
from tests.jobs.pos_sync.provider import provider
from tests.jobs.pos_sync.test_commands import good

pytestmark = pytest.mark.timeout(900)
ANN = ObjectId()


def plan(page: Page, policy: str) -> None:
    page.get_by_role("link", name="New repair").first.click()
    page.get_by_label("Policy").select_option(policy)
    page.get_by_label("Reason").fill("CASE-7: a journey")
    page.get_by_role("button", name="Plan it").click()
    expect(page.get_by_role("heading", name="The plan")).to_be_visible()


def act(page: Page, name: str) -> None:
    """A button, and the reason that it asks for, by keyboard alone."""
    button = page.get_by_role("button", name=name, exact=True).first
    expect(button).to_be_visible()
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("CASE-7: a journey")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()


def test_an_operator_previews_applies_watches_pauses_resumes_and_undoes(
    log_in: LogIn, the_site: Site
) -> None:
    page = log_in("olaf", timezone_id="Europe/Berlin")
    plan(page, "session-cleanup")
    expect(page.get_by_text(f"{SLOW} of {SLOW} (100 %)")).to_be_visible()
    expect(page.get_by_role("cell", name="deleted").first).to_be_visible()
    assert the_site.shop.sessions.count_documents({}) == SLOW

    act(page, "Apply this plan")
    act(page, "Pause")
    expect(page.locator(".badge", has_text="paused").first).to_be_visible()
    expect(page.get_by_text("paused by olaf")).to_be_visible()
    left = the_site.shop.sessions.count_documents({})
    assert 0 < left <= SLOW

    act(page, "Resume")
    expect(page.get_by_text(f"{SLOW} of {SLOW}", exact=True)).to_be_visible()
    expect(page.locator(".badge", has_text="succeeded").first).to_be_visible()
    assert the_site.shop.sessions.count_documents({}) == 0
    expect(page.locator("dt:text-is('archive') + dd")).to_contain_text("20 objects")

    page.get_by_role("link", name="Undo …").click()
    expect(page.locator("dt:has-text('would return') + dd")).to_have_text(str(SLOW))
    act(page, "Undo the run")
    expect(page.locator(".badge", has_text="undone").first).to_be_visible()
    assert the_site.shop.sessions.count_documents({}) == SLOW


def test_an_approver_lets_anothers_plan_go_on_and_cannot_let_their_own(
    log_in: LogIn, the_site: Site
) -> None:
    anna = log_in("anna")
    plan(anna, "sales-retention")
    act(anna, "Apply this plan")
    expect(anna.get_by_text("somebody else must approve it")).to_be_visible()
    expect(anna.locator("#act-reject")).to_be_visible()
    expect(anna.locator("#act-approve")).to_have_count(0)
    assert the_site.shop.salesData.count_documents({"_id": {"$lt": SALES}}) == SALES

    bert = log_in("bert")
    expect(bert.get_by_text("1 plan waiting for approval.")).to_be_visible()
    bert.goto(anna.url)
    act(bert, "Approve")
    for page in (anna, bert):
        expect(page.locator(".badge", has_text="succeeded").first).to_be_visible()
    expect(bert.get_by_text("bert: CASE-7: a journey")).to_be_visible()
    assert the_site.shop.salesData.count_documents({"_id": {"$lt": SALES}}) == 0


def test_a_viewer_looks_at_everything_and_is_offered_no_change(
    log_in: LogIn, the_site: Site
) -> None:
    olaf = log_in("olaf")
    plan(olaf, "negative-sales-values")
    vera = log_in("vera")
    vera.goto(olaf.url)
    expect(vera.get_by_role("heading", name="The plan")).to_be_visible()
    expect(vera.get_by_role("heading", name="Audit trail")).to_be_visible()
    buttons = vera.get_by_role("button").all_inner_texts()
    assert buttons == ["Log out"]
    expect(vera.get_by_role("link", name="New repair")).to_have_count(0)
    vera.goto("/repair")
    expect(vera.get_by_role("alert")).to_contain_text("vera is a viewer")
    assert the_site.shop.salesData.count_documents({"quantity": {"$lt": 0}}) > 0


def bundle_of(page: Page) -> Download:
    """Until a checkpoint covers the last entry, for some seconds, the page says that instead."""
    for seconds in (10, 20, 40, 80):
        try:
            with page.expect_download(timeout=seconds * 1000) as told:
                page.get_by_role("button", name="Download the bundle").click()
        except NotInTime:
            shown = page.inner_text("body")
            page.goto("/audit")
        else:
            return told.value
    raise AssertionError(shown)


def test_a_reviewer_filters_verifies_and_downloads_a_bundle(log_in: LogIn, tmp_path: Path) -> None:
    page = log_in("vera")
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_label("What").fill("logged_in")
    page.get_by_role("button", name="Filter").click()
    rows = page.get_by_role("region", name="Entries").locator("tbody tr")
    expect(rows.first).to_contain_text("logged in")
    assert all("logged in" in text for text in rows.all_inner_texts())

    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_text("nothing is off")).to_be_visible()

    file = tmp_path / "bundle.zip"
    bundle_of(page).save_as(file)
    with zipfile.ZipFile(file) as bundle:
        bundle.extractall(tmp_path / "unpacked")
    (script,) = (tmp_path / "unpacked").rglob("verify.py")
    checked = subprocess.run(
        [sys.executable, "-I", str(script)],
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def lock_ann(site: Site) -> None:
    """Five failures of hers from one address, which the policy answers by its own schedule."""
    site.shop.users.insert_one({"_id": ANN, "email": "ann@example.org"})
    site.shop.loginevents.create_index("timestamp")
    at = datetime.now(UTC) - timedelta(seconds=60)
    failure = {"userId": ANN, "ipAddress": "203.0.113.9", "outcome": "failure"}
    site.shop.loginevents.insert_many(
        [{**failure, "timestamp": at - timedelta(seconds=number)} for number in range(5)]
    )
    command(site.environment, "enable", "login-lockout", "--reason", "CASE-7: a journey")
    eventually(lambda: is_locked(site))


def is_locked(site: Site) -> bool:
    return bool((site.shop.users.find_one({"_id": ANN}) or {}).get("isLocked"))


def test_an_operator_finds_who_is_locked_reads_the_evidence_and_releases_them(
    log_in: LogIn, the_site: Site
) -> None:
    lock_ann(the_site)
    page = log_in("olaf")
    page.get_by_role("link", name="Lockouts", exact=True).click()
    page.get_by_label("User or address").fill("ann@example.org")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(str(ANN))
    assert "ann" not in page.url
    expect(page.locator("dt:text-is('locked') + dd")).to_have_text("yes")
    evidence = page.get_by_role("region", name="Evidence", exact=True).locator("tbody tr")
    expect(evidence).to_have_count(5)
    expect(evidence.first).to_contain_text("203.0.113.9")

    act(page, "Release …")
    expect(page.locator("dt:text-is('locked') + dd")).to_have_text("no")
    assert not is_locked(the_site)
    page.get_by_role("link", name="All lockouts").click()
    over = page.get_by_role("region", name="Over, and alerts")
    expect(over.get_by_text("olaf: CASE-7: a journey")).to_be_visible()
    expect(page.get_by_role("region", name="In force")).to_contain_text("203.0.113.9")


def test_an_operator_mutes_a_store_and_has_it_checked_until_it_works(
    log_in: LogIn, the_site: Site
) -> None:
    with provider() as shop:
        shop.route = good
        options = f"options: {{stores_in: [mongo], private_hosts: ['{shop.place}']}}\n"
        (the_site.folder / "overlay" / "pos-sync.yaml").write_text(f"name: pos-sync\n{options}")
        the_site.shop.products.create_index(["storeId", "externalId"], unique=True)
        camp = {"_id": "1", "name": "Camp", "platform": "rest", "shopDomain": shop.url}
        the_site.shop.stores.insert_one(camp)
        page = log_in("olaf")
        page.get_by_role("link", name="Stores", exact=True).click()
        page.get_by_role("link", name="Camp").click()
        expect(page.get_by_text("What somebody in the shop has to do")).to_be_visible()

        page.get_by_role("button", name="Mute …").click()
        asked = page.get_by_role("dialog")
        asked.get_by_label("Reason").fill("CASE-7: a journey")
        asked.get_by_label("Until").fill("2999-12-31")
        asked.get_by_role("button", name="Mute", exact=True).click()
        expect(page.locator("dt:text-is('muted until') + dd")).to_contain_text("2999-12-31")

        page.get_by_role("button", name="Check again").first.click()
        asked.get_by_label("Reason").fill("CASE-7: a journey")
        asked.get_by_role("button", name="Check again").click()
        expect(asked.get_by_role("alert")).to_contain_text("no credentials are set")
        asked.get_by_role("button", name="Close").click()
        expect(asked).to_be_hidden()

        words = ("pos", "credentials", "set", "Camp", "--reason", "CASE-7: authorised")
        command(the_site.environment, *words, typed='{"access_token": "HUSH"}')
        act(page, "Check again")
        expect(page.locator(".badge", has_text="healthy")).to_be_visible()
        expect(page.get_by_text("None since the last sync.")).to_be_visible()
    assert the_site.shop.products.count_documents({"storeId": "1"}) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_main_pages(log_in: LogIn, scheme: str) -> None:
    page = log_in("root", color_scheme=scheme)
    addresses = [link.get_attribute("href") for link in page.locator(".nav a").all()]
    page.goto("/runs")
    first = page.locator("a[id^=to-]").first
    if first.count():
        addresses.append(first.get_attribute("href"))
    addresses += ["/lockouts/1", "/stores/mongo/1", "/policies/sales-retention", "/audit/1"]
    for address in addresses:
        page.goto(str(address))
        assert serious(page) == [], address
    page.context.clear_cookies()
    page.goto("/login")
    assert serious(page) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_the_screen_and_nothing_comes_from_elsewhere(
    log_in: LogIn, the_site: Site, width: int
) -> None:
    page = log_in("root", viewport={"width": width, "height": 760})
    asked: list[str] = []
    troubles: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    for link in [link.get_attribute("href") for link in page.locator(".nav a").all()]:
        page.goto(str(link))
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, link
    assert [url for url in asked if not url.startswith(the_site.address)] == []
    assert troubles == []


def test_the_first_key_leads_past_the_navigation(log_in: LogIn) -> None:
    page = log_in("vera")
    page.goto("/runs")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))


def serious(page: Page) -> list[dict[str, Any]]:
    """What axe finds that keeps somebody from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        {"id": one["id"], "where": [node["html"][:200] for node in one["nodes"]][:3]}
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
