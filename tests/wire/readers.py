"""The same bytes as h11 and llhttp read them.

Prevents comparing impressions: each reader is a server, or a client, that does what its own
documentation asks of one that upgrades nothing, and reports the messages that were whole. Limits:
httptools cannot tell llhttp that a response answers HEAD, so those rows are not for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import h11
import httptools

ROOM: Final = 64 * 1024


@dataclass(frozen=True)
class Message:
    """A whole message: `start` is `METHOD target` or a status."""

    start: str
    body: bytes

    @property
    def method(self) -> str:
        return self.start.split(" ", 1)[0]

    @property
    def path(self) -> str:
        return self.start.split(" ", 1)[1].partition("?")[0]


Requests = Callable[[bytes], list[Message]]
Answer = Callable[[bytes, str], list[Message]]


def h11_requests(data: bytes) -> list[Message]:
    """The requests an h11 server reads before its client closes; it answers each with 405."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=ROOM)
    connection.receive_data(data)
    seen: list[Message] = []
    start, body, closed = "", b"", False
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return seen
        if isinstance(event, h11.Request):
            start, body = f"{event.method.decode()} {event.target.decode('latin-1')}", b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            seen.append(Message(start, body))
            connection.send(h11.Response(status_code=405, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE:
                return seen
            connection.start_next_cycle()
        elif event is h11.NEED_DATA and not closed:
            connection.receive_data(b"")
            closed = True
        else:
            return seen


def h11_answer(data: bytes, asked: str) -> list[Message]:
    """The answer an h11 client reads; none when it is not whole."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=ROOM)
    connection.send(h11.Request(method=asked, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = "", b""
    for fed in (data, b""):
        connection.receive_data(fed)
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                return []
            if isinstance(event, h11.Response):
                status = str(event.status_code)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return [Message(status, body)]
            elif not isinstance(event, h11.InformationalResponse):
                break
    return []


class _Listener:
    """What llhttp calls back; a message counts when its end was called."""

    def __init__(self) -> None:
        self.seen: list[Message] = []
        self.target, self.body = b"", b""
        self.in_body = self.framed = False
        self.start: Callable[[], str] = str

    def on_message_begin(self) -> None:
        self.target, self.body, self.framed = b"", b"", False
        self.in_body = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.in_body = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.in_body = False
        self.seen.append(Message(self.start(), self.body))


def llhttp_requests(data: bytes) -> list[Message]:
    """The requests a server on llhttp reads; one that asks to upgrade is read like any other."""
    seen: list[Message] = []
    while data:
        listener = _Listener()
        parser = httptools.HttpRequestParser(listener)

        def start(
            parser: httptools.HttpRequestParser = parser, listener: _Listener = listener
        ) -> str:
            return f"{parser.get_method().decode()} {listener.target.decode('latin-1')}"

        listener.start = start
        rest = b""
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError:
            pass
        seen += listener.seen
        data = rest
    return seen


def llhttp_answer(data: bytes, asked: str) -> list[Message]:
    """The answer a client on llhttp reads; none when it is not whole."""
    assert asked != "HEAD", "llhttp cannot be told through httptools"
    listener = _Listener()
    parser = httptools.HttpResponseParser(listener)
    listener.start = lambda: str(parser.get_status_code())
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        # What was whole before the error is still an answer.
        listener.in_body = False
    if listener.in_body and not listener.framed:
        # llhttp leaves it to its user that the end of the connection ends the body.
        listener.on_message_complete()
    final = (message for message in listener.seen if not message.start.startswith("1"))
    upgraded = (message for message in listener.seen if message.start == "101")
    return [*upgraded, *final][:1]
