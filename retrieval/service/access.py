"""Who may do what: who asks, and the catalogue that a request names, if they may see or change it.

`Doorkeeper` stands before all routes. Without a key only what `_OPEN` lists is answered, so that
a route which is added later needs one. The routes of a catalogue take `Readable` or `Writable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import Depends, HTTPException, Path, Request

from retrieval.service.callers import ANYONE, Caller, Shown
from retrieval.service.catalogs import Served
from retrieval.service.models import CatalogName
from retrieval.service.problems import problem
from retrieval.service.service import Service, Serving

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "finetag_session"
HEADER = "X-API-Key"

_OPEN = {"/", "/favicon.ico", "/openapi.json", "/healthz", "/readyz", "/v1/session"}
_OPEN_BELOW = "/page/"  # what the page is made of
_CHANGE_NOTHING = {"GET", "HEAD", "OPTIONS"}


class Doorkeeper:
    """Lets through who shows a good key, before anything of a request's body is read.

    It leaves who that is in `request.state`: as `caller` for the routes, as `key_id` for the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand before an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401 or 403."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                await _admit(request)
            except HTTPException as error:
                told = getattr(request.state, "request_id", None)
                answer = problem(error.status_code, error.detail, told, headers=error.headers)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """Say whether a path is answered without a key."""
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def unknown(detail: str) -> HTTPException:
    """Return the error that asks for a good key."""
    return HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})


def check_origin(request: Request) -> None:
    """See that it is a page of this service that has a browser ask.

    Raises:
        HTTPException: it is not, or nobody says so.
    """
    host, origin = request.headers.get("host"), request.headers.get("origin")
    if request.headers.get("sec-fetch-site") != "same-origin" and (
        origin is None or origin not in {f"http://{host}", f"https://{host}"}
    ):
        raise HTTPException(403, "a session is for the pages of this service alone; send a key")


async def _admit(request: Request) -> None:
    service: Service = request.app.state.service
    if not service.settings.keys:
        request.state.caller = ANYONE
        return
    if is_open(request.scope["path"]):  # that of `request.url` depends on the header Host
        return
    shown = _shown(request)
    if shown is None:
        raise unknown("this needs an API key, as 'Authorization: Bearer ft_...'")
    callers = service.callers
    caller = callers.remembered(shown) or await to_thread.run_sync(callers.find, shown)
    if caller is None:
        raise unknown(f"this {shown.kind} is not known, or no longer")
    if shown.kind == "session" and request.method not in _CHANGE_NOTHING:
        check_origin(request)
    request.state.caller, request.state.key_id = caller, caller.key


def _shown(request: Request) -> Shown | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":  # another scheme is for what stands before the service
        return Shown("key", token.strip())
    if HEADER in request.headers:
        return Shown("key", request.headers[HEADER].strip())
    session = request.cookies.get(COOKIE)
    return None if session is None else Shown("session", session)


# The three below wait for nothing, so they are async and take no thread.


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


async def _readable(
    service: Serving, caller: Calling, catalog: Annotated[CatalogName, Path(examples=["birds"])]
) -> Served:
    # One answer for what is not there and what is not theirs to know of.
    if catalog not in service.catalogs or not caller.sees(catalog):
        raise HTTPException(404, f"there is no catalogue {catalog!r}")
    return service.catalogs[catalog]


async def _writable(served: Readable, caller: Calling) -> Served:
    if not caller.writes(served.name):
        raise HTTPException(403, "this key may read the catalogue, not change it")
    return served


Calling = Annotated[Caller, Depends(_caller)]
Readable = Annotated[Served, Depends(_readable)]
Writable = Annotated[Served, Depends(_writable)]

KEY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer"},
    "key header": {"type": "apiKey", "in": "header", "name": HEADER},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
"""How a key is shown, as the API's description says it."""
