"""A small provider of OpenID Connect over HTTP, which can be told to do each thing wrong."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from pydantic import SecretStr

from worker.settings import Settings

CONSOLE = "https://tend.example"
CLIENT = "tend"
SECRET = "of tend: % and ü"  # noqa: S105 - of nobody


@cache
def key_of(kid: str, owner: str = "the provider") -> RSAKey:  # noqa: ARG001 - of each owner another
    """Whose key is published, or pretended to be, under an id."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@dataclass
class OpenId:
    """What the provider does; a test changes it between two requests."""

    issuer: str
    signs: RSAKey | OctKey
    published: list[RSAKey | OctKey]
    person: dict[str, Any] = field(default_factory=dict)
    """What the token says of whoever logs in, over what it says of anybody; None leaves out."""
    header: dict[str, Any] = field(default_factory=dict)
    denies: str | None = None
    """The error that people are sent back with."""
    known: dict[str, Any] = field(default_factory=dict)
    """What it says of itself, over what is true."""
    keys: Any = None
    """What is at the address of its keys, instead of them."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """The questions with which people came."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def describes(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            **self.known,
        }

    def comes(self, question: dict[str, str]) -> str:
        """Where somebody is sent back to who logs in here."""
        self.asked.append(question)
        answer = {"state": question["state"], "iss": self.issuer}
        if self.denies is not None:
            return f"{question['redirect_uri']}?{urlencode(answer | {'error': self.denies})}"
        code = secrets.token_hex(8)
        self.codes[code] = question
        return f"{question['redirect_uri']}?{urlencode(answer | {'code': code})}"

    def gives(self, sent: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token for a code, which is good once and for whoever began."""
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).partition(b":")
        if (name.decode(), secret.decode()) != (CLIENT, "of+tend%3A+%25+and+%C3%BC"):
            return 401, {"error": "invalid_client"}
        question = self.codes.pop(sent["code"], None)
        challenge = hashlib.sha256(sent["code_verifier"].encode()).digest()
        if question is None or question["redirect_uri"] != sent["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if question["code_challenge"] != base64.urlsafe_b64encode(challenge).decode().rstrip("="):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        says = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "248289761001",
            "iat": now,
            "exp": now + 300,
            "nonce": question["nonce"],
            "preferred_username": "Ann@example.org",
            "groups": ["staff", "data-team"],
            **self.person,
        }
        says = {claim: value for claim, value in says.items() if value is not None}
        header = {"alg": "RS256", "kid": self.signs.kid, **self.header}
        header = {name: value for name, value in header.items() if value is not None}
        if header["alg"] == "none":
            token = f"{_part(header)}.{_part(says)}."
        else:
            token = jwt.encode(header, says, self.signs, ["RS256", "HS256"])
        return 200, {"token_type": "Bearer", "id_token": token}


def settings_of(issuer: str, console_url: str = CONSOLE, **more: Any) -> Settings:
    """Of a console that trusts this provider."""
    return Settings(
        env="test",
        console_url=console_url,
        oidc_issuer=issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret=SecretStr(SECRET),
        oidc_operators="data-team, ops",
        oidc_admins="platform",
        **more,
    )


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@contextmanager
def providing() -> Iterator[OpenId]:
    """Such a provider at a port of this machine."""

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/authorize":
                question = {name: values[0] for name, values in parse_qs(url.query).items()}
                self.send_response(303)
                self.send_header("Location", openid.comes(question))
                self.end_headers()
            elif url.path == "/keys":
                keys = KeySet(list(openid.published)).as_dict(private=False)
                self._say(200, keys if openid.keys is None else openid.keys)
            elif url.path == "/.well-known/openid-configuration":
                self._say(200, openid.describes())
            else:
                self._say(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            sent = {name: values[0] for name, values in parse_qs(body).items()}
            self._say(*openid.gives(sent, self.headers.get("Authorization", "Basic ")))

        def _say(self, status: int, document: Any) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing of it belongs in a test's output."""

    server = ThreadingHTTPServer(("localhost", 0), Service)
    key = key_of("one")
    openid = OpenId(f"http://localhost:{server.server_port}", key, [key])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield openid
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
