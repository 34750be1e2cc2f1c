"""Connections of clients that are slow, or send what is no HTTP; all else is uvicorn's.

uvicorn waits for a request's head as long as the client likes, keeps a head of any size, reads on
for ever after an answer came before the end of a request, and waits as long for a client that
does not take its answer.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retrieval.service.headers import SECURITY
from retrieval.service.models import PROBLEM_TYPE, Problem

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport
    from collections.abc import Callable

HEAD_SECONDS = 10.0
"""From a connection, or the first byte of a further request, to the end of the request's head."""

LINGER_SECONDS = 2.0
"""For which the rest of a request is read that is answered, so that the client sees the answer."""

TAKE_SECONDS = 60.0
"""In which a client must have taken an answer."""

MOST_HEAD_BYTES = 64 << 10
MOST_CONNECTIONS = 500
"""Of one worker process; systems commonly allow 1,024 open files."""


class Connection(HttpToolsProtocol):
    """One connection; the methods are those that asyncio, httptools and uvicorn call."""

    _timer: TimerHandle | None = None  # of the request
    _take_timer: TimerHandle | None = None  # of the answer
    _head_bytes: int | None = 0  # that came so far; None: the head is complete

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn's
        """Wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the service has too many connections")
        else:
            self._in(HEAD_SECONDS, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._in(None)
        self._watch_taking(on=False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, but no head without end."""
        if self.transport.is_closing():
            return
        if self._head_bytes is not None:
            if not self._head_bytes:
                self._in(HEAD_SECONDS, self._head_is_late)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head of a request has at most {MOST_HEAD_BYTES:,} bytes",
            )

    def on_headers_complete(self) -> None:
        """Begin with the request; how long the rest may take is for the application to say."""
        self._in(None)
        self._head_bytes = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the request: what comes next is another's head."""
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for a further request, for the rest of this one, or until the answer is taken."""
        is_early = self.cycle.response_complete and self.cycle.more_body
        super().on_response_complete()
        if is_early:
            self._in(LINGER_SECONDS, self.transport.close)
        if self.transport.get_write_buffer_size():
            self._watch_taking(on=True)

    def pause_writing(self) -> None:
        """Note that the client does not take what is sent."""
        super().pause_writing()
        self._watch_taking(on=True)

    def resume_writing(self) -> None:
        """Note that it does."""
        super().resume_writing()
        self._watch_taking(on=False)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as all else is refused."""
        self._refuse(HTTPStatus.BAD_REQUEST, "the request is no well-formed HTTP")

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._in(HEAD_SECONDS, self._head_is_late)  # another is still being answered
            return
        self._refuse(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the head of a request must arrive within {HEAD_SECONDS:g} s",
        )

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer without asking the application, unless an answer is under way, and hang up."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        is_between = cycle is None or cycle.response_complete or not cycle.response_started
        if is_between and not self.pipeline:
            self.logger.info("connection refused: %s", detail)
            self.transport.write(_response(status, detail))
        self.transport.close()

    def _in(self, seconds: float | None, action: Callable[[], None] = lambda: None) -> None:
        """Do something later, in place of what was to be done; None: nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, action)

    def _watch_taking(self, *, on: bool) -> None:
        if on and self._take_timer is None:
            self._take_timer = self.loop.call_later(TAKE_SECONDS, self._abort_if_not_taken)
        elif not on and self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    def _abort_if_not_taken(self) -> None:
        self._take_timer = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()


def _response(status: HTTPStatus, detail: str) -> bytes:
    body = json.dumps(
        Problem(title=status.phrase, status=status, detail=detail).model_dump()
    ).encode()
    headers = (
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"cache-control", b"no-store"),
        *SECURITY,
    )
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), head, body)
