"""A browser without a screen: it keeps cookies and fills in forms."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.worker.console.conftest import Answer, ask
from tests.worker.test_users import ADMIN, PASSWORD
from worker import users
from worker.database import Database
from worker.identity import Role

HTML = {"Accept": "text/html"}


@dataclass
class Browser:
    """Somebody at the console."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self._asked(path, "GET", None, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._asked(path, "POST", urlencode(form), {**kind, **headers})

    def send(self, path: str, **form: str) -> Answer:
        """A form of the console's own, with what proves that."""
        return self.post(path, {"csrf": self.csrf(), **form})

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/").body.decode())
        assert found is not None
        return found[1]

    def log_in(self, name: str, password: str, then: str = "/") -> Answer:
        return self.post("/login", {"name": name, "password": password, "then": then})

    def _asked(
        self, path: str, method: str, body: str | None, headers: Mapping[str, str]
    ) -> Answer:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = ask(self.port, path, method, body, {**HTML, "Cookie": kept, **headers})
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return answer


def entered(database: Database, port: int, role: str) -> Browser:
    """Somebody with a role who has logged in, called after it."""
    name = f"{role}-ann"
    users.create(database, name, Role(role), PASSWORD, ADMIN)
    browser = Browser(port)
    assert browser.log_in(name, PASSWORD).status == 303
    return browser


def text_of(answer: Answer) -> str:
    """What a person reads of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.body.decode())).split())
