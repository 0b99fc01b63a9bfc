"""How the console listens."""

import socket

from worker.console.server import listen


def test_no_part_of_an_answer_waits_until_the_browser_has_acknowledged_the_one_before() -> None:
    with (
        listen("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
