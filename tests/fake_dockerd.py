"""A Docker Engine that answers whatever a test tells it to, byte for byte, on a UNIX socket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

#: What happens to a request: bytes to answer, or what is done with the connection.
Answer = bytes | Callable[["Conversation"], None]


def answer(status: int, document: Any, *headers: str) -> bytes:
    """Return an answer of Docker; `document` is bytes or becomes JSON."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def frame(stream: int, content: bytes) -> bytes:
    """Return a frame of a stream: 1 is standard output, 2 standard error."""
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def streamed(*parts: bytes) -> Callable[[Conversation], None]:
    """Upgrade the connection, send the parts, and close it."""

    def act(conversation: Conversation) -> None:
        conversation.send(UPGRADED + b"".join(parts))
        conversation.close()

    return act


def hang(_conversation: Conversation) -> None:
    """Never answer."""


def cut(conversation: Conversation) -> None:
    """Close the connection instead of answering."""
    conversation.close()


def then_cut(data: bytes) -> Callable[[Conversation], None]:
    """Answer these bytes, and close the connection."""

    def act(conversation: Conversation) -> None:
        conversation.send(data)
        conversation.close()

    return act


class Conversation(Protocol):
    """One connection: finds the requests in it, and answers each as the factory says."""

    factory: FakeDockerd

    def __init__(self) -> None:
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; answer every complete request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            match = _LENGTH.search(head)
            whole = end + 4 + (int(match.group(1)) if match else 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            self.factory.act(head.split(b"\r\n")[0].decode(), self)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        """Close after what was sent."""
        assert self.transport is not None
        self.transport.loseConnection()


@define(eq=False)
class FakeDockerd(Factory):
    """Answers by the first rule whose pattern is found in the request's first line.

    An answer that is a list is used up, one element for each request, except for the last.
    """

    rules: list[tuple[str, list[Answer]]] = field(factory=list)
    requests: list[str] = field(factory=list, init=False)
    conversations: list[Conversation] = field(factory=list, init=False)

    def on(self, pattern: str, *answers: Answer) -> None:
        """Answer requests such as `POST .*/create`; later rules go before earlier ones."""
        self.rules.insert(0, (pattern, list(answers)))

    def buildProtocol(self, addr: IAddress | None) -> Conversation:  # type: ignore[override]
        """Begin a conversation."""
        del addr
        conversation = Conversation()
        conversation.factory = self
        self.conversations.append(conversation)
        return conversation

    def act(self, request: str, conversation: Conversation) -> None:
        """Answer one request."""
        self.requests.append(request.removesuffix(" HTTP/1.1"))
        for pattern, answers in self.rules:
            if re.search(pattern, request):
                chosen = answers.pop(0) if len(answers) > 1 else answers[0]
                conversation.send(chosen) if isinstance(chosen, bytes) else chosen(conversation)
                return
        conversation.send(answer(404, {"message": "page not found"}))

    def close(self) -> None:
        """Close every connection, whatever still is to be sent."""
        for conversation in self.conversations:
            transport: Any = conversation.transport
            transport.abortConnection()
