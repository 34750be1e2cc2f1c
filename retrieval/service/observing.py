"""Every request by an id of its own, logged and counted; and the answer to what nobody expected."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from retrieval.service import metrics
from retrieval.service.logs import request_id
from retrieval.service.problems import unexpected

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GONE = 499
"""Logged and counted in place of a status if the client hung up before there was an answer."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOKEN = re.compile(r"(?<=/pictures/)[^/]+")  # who has it can see the picture

_LONGEST = 500  # characters of a path

_log = logging.getLogger("finetag.serve")


class Observed:
    """Outside of all that answers, so that nothing goes unseen."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and tell of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _id_of(scope)
        seen = _Seen(receive, send, state["request_id"])
        in_context = request_id.set(seen.request_id)
        try:
            with metrics.IN_FLIGHT.track_inprogress():
                await self._answer(scope, seen)
        finally:
            _tell(scope, seen)
            request_id.reset(in_context)

    async def _answer(self, scope: Scope, seen: _Seen) -> None:
        try:
            await self._app(scope, seen.receive, seen.send)
        except Exception as error:
            _log.exception("unexpected error", exc_info=error)
            if seen.status is not None:  # too late for another answer: the connection is closed
                raise
            await unexpected(seen.request_id)(scope, seen.receive, seen.send)


class _Seen:
    """What is seen of one request and its answer."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive, self._send = receive, send
        self.request_id = request_id
        self.began = time.perf_counter()
        self.status: int | None = None
        self.bytes_in = self.bytes_out = 0
        self._is_gone = False

    @property
    def final_status(self) -> int:
        return GONE if self._is_gone or self.status is None else self.status

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        if message["type"] == "http.disconnect" and self.status is None:
            self._is_gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            named = (b"x-request-id", self.request_id.encode())
            message = {**message, "headers": [*message.get("headers", ()), named]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)


def _id_of(scope: Scope) -> str:
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    text = given[0].decode("latin-1") if len(given) == 1 else ""
    return text if _ID.fullmatch(text) else secrets.token_hex(8)


def _tell(scope: Scope, seen: _Seen) -> None:
    seconds = time.perf_counter() - seen.began
    route: str | None = getattr(scope.get("route"), "path", None)
    state: dict[str, Any] = scope["state"]
    client = scope.get("client")
    metrics.count_request(route, scope["method"], seen.final_status, seconds)
    _log.info(
        "request",
        extra={
            "method": scope["method"],
            "route": route,
            "path": _TOKEN.sub("…", scope["path"][:_LONGEST]),
            "status": seen.final_status,
            "ms": round(1000 * seconds, 1),
            "bytes_in": seen.bytes_in,
            "bytes_out": seen.bytes_out,
            "client": client[0] if client else None,
            "key_id": getattr(state.get("caller"), "key", None),
            "catalog": scope.get("path_params", {}).get("catalog"),
            "generation": state.get("generation"),
        },
    )
