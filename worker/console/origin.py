"""Whether a browser was made to send something by a page of our own."""

from urllib.parse import urlsplit

from fastapi import Request

from worker.errors import NotAllowed

COOKIE = "tend"
"""Of a session. A browser sends it along whoever made it send something."""


def must_be_our_own(request: Request) -> None:
    """Raise `NotAllowed` for what a page of somebody else makes a browser send."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if site not in {"same-origin", "none"} or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise NotAllowed("This was sent from a page that is not the console's own.")
