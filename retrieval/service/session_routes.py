"""Signing in and out: the page shows a key once, and has a cookie in place of it from then on."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from retrieval.service.access import COOKIE, check_origin, unknown
from retrieval.service.callers import Shown
from retrieval.service.models import SignIn
from retrieval.service.service import Serving
from retrieval.service.sessions import SECONDS

router = APIRouter(prefix="/v1/session", tags=["session"])


@router.post("", status_code=204)
def sign_in(asked: SignIn, request: Request, service: Serving) -> Response:
    """Begin a session of the page; its cookie opens what the key does, but changes nothing."""
    check_origin(request)  # nobody shall sign a user in with a key that is not theirs
    key = service.callers.keys.shown(asked.key.get_secret_value())
    if key is None:
        raise unknown("this key is not known, or no longer")
    return _with_cookie(request, service.callers.sessions.begin(key), SECONDS)


@router.delete("", status_code=204)
def sign_out(request: Request, service: Serving) -> Response:
    """End a session; of other sessions with the same key nothing changes."""
    check_origin(request)
    token = request.cookies.get(COOKIE)
    if token is not None:
        service.callers.forget(Shown("session", token))
        service.callers.sessions.end(token)
    return _with_cookie(request, "", 0)


def _with_cookie(request: Request, token: str, seconds: int) -> Response:
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE,
        token,
        max_age=seconds,
        httponly=True,  # scripts cannot read it
        samesite="strict",  # and other sites cannot have it sent
        secure=request.scope["scheme"] == "https",  # a proxy that is trusted counts
    )
    return response
