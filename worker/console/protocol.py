"""HTTP on one connection: a broken request gets our form of an error, a silent client is left."""

import asyncio
import json
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.console import answers
from worker.console.headers import EVERYWHERE

CLIENT_SECONDS = 10
"""A client that sends no whole request for so long is left."""


class Protocol(H11Protocol):
    """What uvicorn itself answers knows nothing of the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own signature
        super().connection_made(transport)
        self.loop.call_later(CLIENT_SECONDS, self._leave_if_silent)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - it is the library's wording
        body = json.dumps(answers.refusal(HTTPStatus.BAD_REQUEST)).encode()
        headers = [
            *EVERYWHERE,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            sent = self.conn.send(event)
            if sent:
                self.transport.write(sent)
        self.transport.close()

    def _leave_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
