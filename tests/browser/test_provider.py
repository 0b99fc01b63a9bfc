"""Logging in by way of a provider on another site, with a real browser and no script at all."""

from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PATIENCE
from tests.worker.console.conftest import serving
from tests.worker.console.openid import providing, settings_of
from worker import migrate
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.settings import Settings

pytestmark = pytest.mark.timeout(900)


def test_somebody_goes_to_the_provider_and_comes_back_logged_in(
    browser: Browser, tmp_path: Path
) -> None:
    """The console is at 127.0.0.1 and the provider at localhost: two sites, to a browser."""
    with (
        closing(Database(f"sqlite:///{tmp_path}/control.sqlite")) as control,
        providing() as openid,
    ):
        migrate.upgrade(control)
        here = Installation(Settings(env="test"), control, Readiness(control, seconds=30))
        with serving(here) as port:
            address = f"http://127.0.0.1:{port}"
            here.settings = settings_of(openid.issuer, address)
            context = browser.new_context(base_url=address, java_script_enabled=False)
            context.set_default_timeout(PATIENCE)
            page = context.new_page()
            page.goto("/holds")
            page.get_by_role("link", name="Log in with localhost").click()
            expect(page).to_have_url(f"{address}/holds")
            expect(page.get_by_text("oidc:ann")).to_be_visible()
            assert len(openid.asked) == 1
            context.close()
