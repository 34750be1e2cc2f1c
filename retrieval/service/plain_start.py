"""A service that cannot start says so in one line, not with a traceback.

For what only a worker process finds out; `cli` looks at the rest before there is any.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PlainStart:
    """Cuts what the server logs of a failed start down to the error's own words.

    `FINETAG_DEBUG=1` in the environment lets the traceback through.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""

        async def send_plain(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                *_, last = message.get("message", "").strip().splitlines() or [""]
                kind, _, text = last.partition(": ")
                message = {**message, "message": text or kind}
            await send(message)

        cut = scope["type"] == "lifespan" and not os.environ.get("FINETAG_DEBUG")
        await self._app(scope, receive, send_plain if cut else send)
