"""By which names the service may be called, and that no other web site calls it.

A page of a stranger can have its own name lead to this machine (DNS rebinding), and a visitor's
browser would then take the service for a part of that page: so names are checked. It can also
have the browser send requests here (CSRF): so what comes from another site is refused. Programs
that are no browsers notice nothing.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from retrieval.service.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

PAGES = frozenset({"/"})
"""What a link on another site may lead to."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)


class OwnSite:
    """Refuses what goes to another name, or comes from another site."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        """Let the service be called by these names too, beside those of this machine."""
        self._app = app
        self._hosts = frozenset(map(_plain, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what comes from here."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        request_id = scope["state"]["request_id"]
        named = _values(scope, b"host")
        if len(named) != 1:
            return problem(400, "a request has one header Host", request_id)
        if not self._is_own(named[0], scope):
            return problem(
                421,
                "the service is not known by this name; names are added with --allow-host",
                request_id,
            )
        if _is_foreign(scope, named[0]):
            return problem(403, "pages of other sites may not call this service", request_id)
        return None

    def _is_own(self, host: str, scope: Scope) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _plain(match[1])
        if name == "localhost" or name in self._hosts:
            return True
        address = _address(name.strip("[]"))
        # A literal cannot lead elsewhere later. The server's is the one this connection came to.
        return address is not None and (
            address.is_loopback or address == _address((scope.get("server") or ("",))[0])
        )


def _is_foreign(scope: Scope, host: str) -> bool:
    site = _values(scope, b"sec-fetch-site")
    is_link = (
        scope["method"] == "GET"
        and scope["path"] in PAGES
        and _values(scope, b"sec-fetch-mode") == ["navigate"]
    )
    if is_link:
        return False
    if any(each not in {"same-origin", "none"} for each in site):
        return True
    return any(
        each.partition("://")[2].lower() != host.lower() for each in _values(scope, b"origin")
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address  # as sockets for both kinds have it


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")
