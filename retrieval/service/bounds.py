"""How much one request may be, how long it may take, and how many there may be at a time.

A thread that computes cannot be stopped. A request that takes too long is answered, and counts as
being worked on until its thread has ended: what is turned away is what really cannot be taken.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from retrieval.service import metrics
from retrieval.service.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from retrieval.service.settings import Limits

JSON_BYTES = 1 << 20
"""Size of a request that is no form, unless it brings a table."""

_UPLOADS = re.compile(r"/v1/catalogs/[^/]+/(images|fields)")
_CLOSE = {"Connection": "close"}
_LATER = {"Retry-After": "1"}

_log = logging.getLogger("finetag.serve")


class Bounded:
    """Refuses what is too large, too slow or too much."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._working: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is within the bounds."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            # Whether it is alive, a process can tell however much it has to do.
            await self._app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        if len(self._working) >= self._limits.waiting:
            busy = "the service has too much to do; ask again in a moment"
            await problem(503, busy, request_id, headers=_LATER)(scope, receive, send)
            return
        body = _Body(scope, receive, self._limits)
        if body.announced > body.most:
            await problem(413, body.too_large, request_id, headers=_CLOSE)(scope, receive, send)
            return
        answer = _Answer(send)
        task = asyncio.ensure_future(self._app(scope, body.receive, answer.send))
        self._working.add(task)
        metrics.WORKING.inc()
        task.add_done_callback(self._ended)
        try:
            await self._until_answered(task, body)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done() and not answer.has_begun:
            answer.is_given_up = True
            task.add_done_callback(_log_failure)
            status, told, headers = body.verdict()
            if status == 408:
                task.cancel()
            await problem(status, told, request_id, headers=headers)(scope, receive, send)
        else:
            await task

    async def _until_answered(self, task: asyncio.Future[None], body: _Body) -> None:
        """Wait for the body, and then for the answer, each for as long as one may take."""
        loop = asyncio.get_running_loop()
        began, seconds = loop.time(), self._limits.request_seconds
        while not task.done():
            end = began + body.seconds if body.ended is None else body.ended + seconds
            left = end - loop.time()
            if left <= 0:
                return
            await asyncio.wait({task}, timeout=min(left, seconds))  # the body may end meanwhile

    def _ended(self, task: asyncio.Future[None]) -> None:
        self._working.discard(task)
        metrics.WORKING.dec()


class _Answer:
    """Lets one answer through, unless another was given in its place."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = self.is_given_up = False

    async def send(self, message: Message) -> None:
        if self.is_given_up:
            return
        self.has_begun = True
        await self._send(message)


class _Body:
    """The body of a request as it arrives.

    Attributes:
        most: its size in bytes, at most.
        announced: its size by its headers, in bytes; 0 if they do not say.
        seconds: until it must be there; one that may be larger has the more time.
        ended: when all of it was read, by the clock of the event loop; None before.
    """

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._size = 0
        self._is_awaited = False
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        self.most = _most_bytes(scope, limits)
        self.seconds = limits.request_seconds * max(1.0, self.most / limits.body_bytes)
        self.announced = int(length[:20]) if length.isdigit() else 0
        self.ended: float | None = None

    @property
    def too_large(self) -> str:
        return f"the request is larger than {self.most:,} bytes"

    async def receive(self) -> Message:
        """Receive the next piece.

        Raises:
            HTTPException: the body is too large.
        """
        self._is_awaited = True
        message = await self._receive()
        self._is_awaited = False
        self._size += len(message.get("body", b""))
        if self._size > self.most:
            raise HTTPException(413, self.too_large, _CLOSE)
        if not message.get("more_body", False) and self.ended is None:
            self.ended = asyncio.get_running_loop().time()
        return message

    def verdict(self) -> tuple[int, str, dict[str, str]]:
        """Say what took too long: status, detail and headers."""
        if self._is_awaited and self.ended is None:
            return 408, f"the request took longer than {self.seconds:g} s to arrive", _CLOSE
        seconds = self._limits.request_seconds
        return 503, f"no answer was found within {seconds:g} s; ask again in a moment", _LATER


def _log_failure(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("unexpected error", exc_info=error)


def _most_bytes(scope: Scope, limits: Limits) -> int:
    if scope["method"] == "POST" and _UPLOADS.fullmatch(scope["path"]):
        return limits.upload_bytes
    kind = dict(scope["headers"]).get(b"content-type", b"")
    is_form = kind.lower().startswith(b"multipart/form-data")
    return limits.body_bytes if is_form else min(JSON_BYTES, limits.body_bytes)
