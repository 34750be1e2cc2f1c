"""The page to search with, at `/`: files of the package, nothing of which is made here.

It asks the API like any other client. Nothing but its own scripts and styles may run in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, HTTPException, Request, Response

router = APIRouter(include_in_schema=False)

_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    etag: str


@cache
def _all() -> dict[str, _File]:
    """Read the files of the page, by name; there are few, and they are small."""
    found = {}
    for each in files("retrieval").joinpath("page").iterdir():
        media_type = _MEDIA_TYPES.get(each.name.rpartition(".")[2])
        if media_type is not None:
            content = each.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            found[each.name] = _File(content, media_type, f'"{digest[:32]}"')
    return found


@router.get("/")
def page(request: Request) -> Response:
    """Return the page."""
    return _answer("index.html", request)


@router.get("/page/{name}")
def page_file(name: str, request: Request) -> Response:
    """Return a script or style of the page."""
    if name not in _all():
        raise HTTPException(404, "the page has no such file")
    return _answer(name, request)


def _answer(name: str, request: Request) -> Response:
    file = _all()[name]
    headers = {
        "ETag": file.etag,
        "Cache-Control": "no-cache",  # ask each time, so that an upgrade is seen at once
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
    }
    asked = request.headers.get("if-none-match", "")
    if file.etag in (each.strip().removeprefix("W/") for each in asked.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
