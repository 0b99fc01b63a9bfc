"""Chromium without a screen, before a console with every process behind it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pymongo import MongoClient

from demo.servers import Mongo, Valkey
from tests.browser.site import PASSWORD, Site, site

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 120_000
"""Milliseconds: a busy machine is slow, and no journey is about how fast it is."""
LogIn = Callable[..., Page]

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """While it lives an event loop runs in this thread: nothing else may begin one of its own."""
    found = shutil.which("chromium")
    if found is None:
        missing = "There is no chromium; `apt-get install chromium` brings it."
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def the_site(
    browser: Browser,  # noqa: ARG001 - without one, nothing needs to be started
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    valkey_server: Valkey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    with site(folder, mongo_server.url("browsed", "tend"), valkey_server.url) as running:
        yield running
    mongo_admin.drop_database("browsed")


@pytest.fixture
def log_in(browser: Browser, the_site: Site) -> Iterator[LogIn]:
    """A page of somebody who is logged in, in a browser of their own."""
    opened = []

    def enter(name: str, **options: Any) -> Page:
        context = browser.new_context(base_url=the_site.address, **options)
        opened.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("User").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        return page

    yield enter
    for context in opened:
        context.close()
