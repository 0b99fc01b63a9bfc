"""The outermost room: what is too much, too slow, or goes wrong, is answered as any error is."""

import asyncio
import json
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from worker.console import answers
from worker.console.pages import failing
from worker.logs import safe_text

MOST_BYTES = 256 * 1024
"""Of a request's body."""
BODY_SECONDS = 10

log = structlog.get_logger()
Message = MutableMapping[str, Any]


class Bounds:
    """A body is read here, whole, so that no route waits for a client; HEAD is GET without one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if scope["method"] in {"GET", "HEAD"}:  # the server sends no body for HEAD
                await self._app({**scope, "method": "GET"}, receive, sending)
                return
            body = await asyncio.wait_for(_read(receive), BODY_SECONDS)
            if body is None:
                await _answer(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                return
            await self._app(scope, _again(body, receive), sending)
        except TimeoutError:
            await _answer(send, HTTPStatus.REQUEST_TIMEOUT)
        except asyncio.CancelledError:  # only the process's end cancels a request
            log.warning("request left unanswered", path=failing.path_of(Request(scope)))
            raise
        except Exception as error:
            request, reference = Request(scope), failing.new_reference()
            path = failing.path_of(request)
            log.exception("request failed", path=path, why=safe_text(error), reference=reference)
            if begun:
                raise
            await _unexpected(request, reference)(scope, receive, send)


async def _read(receive: Receive) -> bytes | None:
    """The body; None if it is too large."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """The body in one message, and after it what the server says."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return left.pop() if left else await receive()

    return receiving


def _unexpected(request: Request, reference: str) -> Response:
    """In the page that a person asked for, or as programs read errors."""
    status, document = HTTPStatus.INTERNAL_SERVER_ERROR, answers.unexpected(reference)
    if failing.is_for_people(request):
        return failing.said(request, status, document["error"]["message"], reference)
    return JSONResponse(document, status)


async def _answer(send: Send, status: HTTPStatus) -> None:
    body = json.dumps(answers.refusal(status)).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
