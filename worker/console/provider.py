"""The OpenID Connect provider: where somebody who logs in is sent, and what it then says of them.

It is asked for its addresses and keys at each login, so that a rotated key counts at once.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
import structlog
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from worker.console.handshake import Handshake
from worker.errors import LoginRefused, ProviderUnreachable
from worker.settings import Settings, is_private

SECONDS = 5.0
LEEWAY_SECONDS = 60
"""Between the provider's clock and ours."""
BACK = "/login/provider/back"
"""Where the provider sends people back to, behind the console's own address."""
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
"""Those whose keys can be published: never `none`, and no shared secret."""
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")
_ENDED = "begin the login again."

log = structlog.get_logger()


@contextmanager
def asked(settings: Settings) -> Iterator["Provider"]:
    """The provider of the settings, as it describes itself now. Raises `ProviderUnreachable`."""
    with httpx.Client(timeout=SECONDS) as http:
        found = Provider(settings, http)
        found.discover()
        yield found


class Provider:
    """Whoever lets people in; each of its methods raises `ProviderUnreachable`."""

    def __init__(self, settings: Settings, http: httpx.Client) -> None:
        self._settings = settings
        self._http = http
        self.issuer = settings.oidc_issuer or ""
        self._known: Mapping[str, Any] = {}

    def discover(self) -> None:
        well_known = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        self._known = self._document(self._asked("GET", well_known))
        if self._known.get("issuer") != self.issuer:
            raise self._failing("calls itself something else than TEND_OIDC_ISSUER")

    def address(self, handshake: Handshake) -> str:
        """Where the browser is sent to log in."""
        asked = [
            ("response_type", "code"),
            ("client_id", self._settings.oidc_client_id),
            ("redirect_uri", self._back),
            ("scope", self._settings.oidc_scopes),
            ("state", handshake.state),
            ("nonce", handshake.nonce),
            ("code_challenge", create_s256_code_challenge(handshake.verifier)),
            ("code_challenge_method", "S256"),
        ]
        found: str = add_params_to_uri(self._endpoint("authorization_endpoint"), asked)
        return found

    def claims(self, handshake: Handshake, code: str) -> Mapping[str, Any]:
        """What the provider has signed of whoever got this code. Raises `LoginRefused`, too."""
        token = self._exchanged(handshake, code)
        keys = self._document(self._asked("GET", self._endpoint("jwks_uri")))
        try:
            found = jwt.decode(token, KeySet.import_key_set(keys), ALGORITHMS)  # type: ignore[arg-type] # whatever it holds, importing checks it
            said = CodeIDToken(
                found.claims,
                found.header,
                {
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
                {"nonce": handshake.nonce, "client_id": self._settings.oidc_client_id},
            )
            said.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning("the provider's token is refused", why=_reason(error))
            raise LoginRefused(
                f"What the login provider said of you does not hold ({_reason(error)}); {_ENDED}"
            ) from None
        return dict(said)

    def _exchanged(self, handshake: Handshake, code: str) -> str:
        secret = self._settings.oidc_client_secret
        who = self._settings.oidc_client_id or "", secret.get_secret_value() if secret else ""
        sent = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": handshake.verifier,
        }
        ways = self._known.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote_plus(who[0]), quote_plus(who[1]))
            answer = self._asked("POST", self._endpoint("token_endpoint"), data=sent, auth=auth)
        else:
            sent |= {"client_id": who[0], "client_secret": who[1]}
            answer = self._asked("POST", self._endpoint("token_endpoint"), data=sent)
        if answer.is_client_error:
            why = _plain(self._document(answer, is_error=True).get("error"))
            log.warning("the provider refuses a code", why=why)
            raise LoginRefused(f"The login provider has refused this login ({why}); {_ENDED}")
        return str(self._document(answer).get("id_token", ""))

    def _endpoint(self, name: str) -> str:
        url = str(self._known.get(name, ""))
        if not is_private(url):
            raise self._failing(f"names no https:// address as its {name}")
        return url

    @property
    def _back(self) -> str:
        return f"{self._settings.console_url}{BACK}"

    def _asked(self, method: str, url: str, **sent: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **sent)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            log.warning("the login provider does not answer", why=type(error).__name__)
            raise self._failing("does not answer") from None

    def _document(self, answer: httpx.Response, *, is_error: bool = False) -> dict[str, Any]:
        if not is_error and not answer.is_success:
            raise self._failing(f"answers with HTTP {answer.status_code}")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        if is_error:
            return {}
        raise self._failing("does not answer as a provider of OpenID Connect does")

    def _failing(self, how: str) -> ProviderUnreachable:
        host = urlsplit(self.issuer).netloc
        return ProviderUnreachable(
            f"The login provider at {host} {how}; log in with a local user, or try again later."
        )


def must_answer(settings: Settings, handshake: Handshake, answer: Mapping[str, str]) -> str:
    """The code in the provider's answer. Raises `LoginRefused` unless it answers this login."""
    if not hmac.compare_digest(answer.get("state", "").encode(), handshake.state.encode()):
        raise LoginRefused(
            f"This login was not begun in this browser, or another was begun since; {_ENDED}"
        )
    if answer.get("iss", settings.oidc_issuer) != settings.oidc_issuer:
        raise LoginRefused(f"Another login provider than ours has answered; {_ENDED}")
    if "error" in answer or not answer.get("code"):
        raise LoginRefused(
            f"The login provider has not let you in ({_plain(answer.get('error'))}); {_ENDED}"
        )
    return answer["code"]


def _plain(code: object) -> str:
    """An error's code, if it is no more than that: the answer may hold anything."""
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else "without a reason"


def _reason(error: Exception) -> str:
    """What was wrong, never with what the token says."""
    claim = getattr(error, "claim", None)
    code = error.error if isinstance(error, JoseError) else "unreadable"
    return f"{code}: {claim}" if claim else code
