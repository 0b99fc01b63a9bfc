"""Pictures of the console's main pages, for the documentation; needs Debian's chromium."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from policies.errors import TendError

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, PHONE = (1200, 760), (390, 760)
PATIENCE = 120_000


class NoChromium(TendError):
    """Nothing to take pictures with."""

    code = "demo_chromium"


def take(address: str, logins: Sequence[str], run: str, folder: Path) -> None:
    """The overview in both schemes, a run, the policies and the log; the overview on a phone."""
    found = shutil.which("chromium")
    if found is None:
        raise NoChromium("There is no chromium; `apt-get install chromium` brings it.")
    folder.mkdir(parents=True, exist_ok=True)
    light, dark = logins
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        page = _logged_in(browser, light, "light")
        for name, path in (
            ("overview", "/"),
            ("run", f"/runs/{run}"),
            ("policy", "/policies/sales-retention"),
            ("audit", "/audit"),
        ):
            _take(page, address + path, folder / f"{name}.png")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        _take(page, address + "/", folder / "phone.png")
        _take(_logged_in(browser, dark, "dark"), f"{address}/runs", folder / "runs-dark.png")
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
    page.get_by_text("records changed", exact=False).first.wait_for()
    return page


def _take(page: Page, address: str, file: Path) -> None:
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_timeout(1_000)  # for what a page asks for after it is there
    page.screenshot(path=str(file))
