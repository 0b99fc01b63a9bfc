"""Pictures of the console's main pages, for the documentation; needs Debian's chromium."""

import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from demo.console import WebConsole
from policies.errors import TendError

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, PHONE = (1200, 900), (390, 760)
PATIENCE = 120_000


class NoChromium(TendError):
    """Nothing to take pictures with."""

    code = "demo_chromium"


def take(console: WebConsole, run: str, planned: str, folder: Path) -> None:
    """The main pages, two of them in the dark, and the first one on a phone."""
    found = shutil.which("chromium")
    if found is None:
        raise NoChromium("There is no chromium; `apt-get install chromium` brings it.")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = _logged_in(browser, console.login(), "light")
        for name, path in (
            ("overview", "/"),
            ("run", f"/runs/{run}"),
            ("plan", f"/runs/{planned}"),
            ("repair", "/repair"),
            ("policy", "/policies/sales-retention"),
            ("policies", "/policies"),
            ("lockouts", "/lockouts"),
            ("stores", "/stores"),
            ("audit", "/audit"),
        ):
            _take(page, console.address + path, folder / f"{name}.png")
        for name, path, link in (
            ("lockout", "/lockouts", re.compile(r"^lock \d")),
            ("store", "/stores?state=needs_person", re.compile("^store-")),
        ):
            page.goto(console.address + path)
            followed = page.get_by_role("link", name=link).first.get_attribute("href")
            _take(page, f"{console.address}{followed}", folder / f"{name}.png")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        _take(page, console.address + "/", folder / "phone.png")
        dark = _logged_in(browser, console.login(), "dark")
        for name, path in (("runs-dark", "/runs"), ("overview-dark", "/")):
            _take(dark, console.address + path, folder / f"{name}.png")
        browser.close()


def _logged_in(browser: Browser, login: str, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": WIDE[0], "height": WIDE[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        timezone_id="America/New_York",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(login)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Overview", exact=True).wait_for()
    return page


def _take(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    page.get_by_text("Being counted").first.wait_for(state="hidden")
    page.wait_for_timeout(1_000)  # for what a page asks for after it is there
    page.screenshot(path=str(file))
