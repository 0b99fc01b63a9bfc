"""ActionCable as Rails speaks it: welcome, subscribe, confirm, ping, and a message that returns."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection

PROTOCOL = "actioncable-v1-json"
Message = Mapping[str, Any]


class Silent(Exception):
    """The server speaks, but says no to what a kiosk needs."""


async def subscribe(connection: ClientConnection, identifier: Mapping[str, str]) -> None:
    """From the welcome to the confirmed subscription; without an identifier to the welcome."""
    await _until(connection, lambda message: message.get("type") == "welcome")
    if not identifier:
        return
    named = json.dumps(dict(identifier))
    await connection.send(json.dumps({"command": "subscribe", "identifier": named}))

    def is_answer(message: Message) -> bool:
        return message.get("identifier") == named and "type" in message

    answer = await _until(connection, is_answer)
    if answer["type"] != "confirm_subscription":
        raise Silent("it rejects the subscription")


async def ping(connection: ClientConnection) -> None:
    """Wait for the beat that tells a client its connection lives; Rails sends one each 3 s."""
    await _until(connection, lambda message: message.get("type") == "ping")


async def deliver(connection: ClientConnection, identifier: Mapping[str, str], action: str) -> None:
    """Send a message to an action that sends it back, and wait until it does."""
    mark = uuid4().hex
    data = json.dumps({"action": action, "probe": mark})
    named = json.dumps(dict(identifier))
    await connection.send(json.dumps({"command": "message", "identifier": named, "data": data}))
    await _until(connection, lambda message: mark in json.dumps(message.get("message")))


async def _until(connection: ClientConnection, wanted: Callable[[Message], bool]) -> Message:
    while True:
        try:
            message = json.loads(await connection.recv())
        except ValueError:
            raise Silent("what it says is no JSON") from None
        if not isinstance(message, dict):
            continue
        if message.get("type") == "disconnect":
            raise Silent(f"it disconnects: {_word(message.get('reason'))}")
        if wanted(message):
            return message


def _word(reason: Any) -> str:
    """Rails gives one of a few words here; anything else is not repeated."""
    known = {"unauthorized", "invalid_request", "server_restart", "remote"}
    return str(reason) if reason in known else "no known reason"
