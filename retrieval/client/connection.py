"""How a client is connected: the address, the key and the time limits, checked before any use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx2

from finetag_model.errors import UsageError
from retrieval.url import is_url, shown_url

CONNECT_SECONDS = 5.0
"""Within which a service must take a connection; it is near, or it is not there."""

_KEY = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True)
class Connection:
    """The address of a service, and what every request to it has.

    Attributes:
        address: without a slash at the end.
        options: of an httpx2 client; they hold the key.
    """

    address: str
    options: dict[str, Any] = field(repr=False)


def connection(address: str, key: str | None, timeout: float) -> Connection:
    """Check what a client is told; messages never hold the key.

    Raises:
        UsageError: the address, the key or the timeout cannot be one.
    """
    try:
        url = httpx2.URL(address.rstrip("/"))
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if not is_url(address) or not url.host:
        shown = shown_url(address)
        raise UsageError(f"{shown!r} is no address of a service; one is http://127.0.0.1:8000")
    if url.userinfo or url.query or url.fragment:
        raise UsageError(
            f"the address {shown_url(address)} has a name, a password, a query or a fragment; "
            "give host, port and path alone, and the key as key="
        )
    if not 0 < timeout < float("inf"):
        raise UsageError(f"the timeout is {timeout} s, but must be a number above 0")
    headers = {"Accept": "application/json, image/jpeg", "User-Agent": "finetag-client/1"}
    if key is not None:
        if not _KEY.fullmatch(key):
            raise UsageError(
                "the key is empty, too long, or has a blank or line end in it; "
                "take it as finetag-keys printed it"
            )
        headers["Authorization"] = f"Bearer {key}"
    options = {
        "base_url": url,
        "headers": headers,
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
        "follow_redirects": False,  # they would take the key and the picture elsewhere
    }
    return Connection(str(url), options)
