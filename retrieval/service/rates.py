"""How often one client may ask, counted together by all worker processes of a machine.

Each client has a bucket of tokens, which fills evenly; a request takes some out. The buckets lie
in a file of a fixed size that all processes map, in sets of eight slots; a client's set follows
from a keyed hash, and in a full set a new client takes the slot that was used least recently. So
memory is bounded whatever number of addresses there is, and who has that many gains nothing but
what he had.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address, ip_network
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from finetag_model.files import plain_write_errors
from retrieval.service.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MINUTE = 60.0
PICTURE = 0.1
"""What a thumbnail takes of the tokens: a page of hits shows many."""

_HEALTH = {"/healthz", "/readyz"}
_SETS, _WAYS = 2048, 8
_SLOT = struct.Struct("<16sdd")  # digest of the client, tokens left, and when (seconds)
_KEY_BYTES = 32
_SIZE = _KEY_BYTES + _SETS * _WAYS * _SLOT.size


@dataclass(frozen=True)
class Taken:
    """Whether tokens were taken.

    Attributes:
        is_granted: they were.
        left: whole tokens that the client has.
        wait: seconds until it has enough; 0 if they were granted.
    """

    is_granted: bool
    left: int
    wait: float


class Buckets:
    """The tokens of all clients."""

    def __init__(self, path: Path, per_minute: int) -> None:
        """Map the file, which is made when it is not there; a bucket holds those of a minute.

        Raises:
            FineTagError: it cannot be written.
        """
        self._most = float(per_minute)
        with plain_write_errors(path, "make room, or name another folder with --state"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._locked():
                if os.fstat(self._file).st_size != _SIZE:
                    os.ftruncate(self._file, 0)
                    os.ftruncate(self._file, _SIZE)
                    os.pwrite(self._file, secrets.token_bytes(_KEY_BYTES), 0)
            self._map = mmap.mmap(self._file, _SIZE)
        self._key = self._map[:_KEY_BYTES]

    def take(self, client: str, tokens: float) -> Taken:
        """Take tokens from a client's bucket, if there are enough."""
        digest = blake2b(client.encode(), digest_size=16, key=self._key).digest()
        start = _KEY_BYTES + int.from_bytes(digest[:4], "little") % _SETS * _WAYS * _SLOT.size
        places = range(start, start + _WAYS * _SLOT.size, _SLOT.size)
        with self._locked():
            now = time.time()
            slots = {place: _SLOT.unpack_from(self._map, place) for place in places}
            place = next((at for at in places if slots[at][0] == digest), None)
            if place is None:
                place, left = min(places, key=lambda at: slots[at][2]), self._most
            else:
                _, had, at = slots[place]
                left = min(self._most, had + max(0.0, now - at) * self._most / MINUTE)
            is_granted = left >= tokens
            if is_granted:
                left -= tokens
            _SLOT.pack_into(self._map, place, digest, left, now)
        wait = 0.0 if is_granted else (tokens - left) * MINUTE / self._most
        return Taken(is_granted, int(left), wait)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Of the open file, not of the process: for a few microseconds.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


class RateLimited:
    """Turns away a client that asks too often, and tells all how much they have left."""

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        """Let a client have so many tokens a minute; 0: as many as it likes."""
        self._app, self._per_minute = app, per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what the client has tokens for."""
        tokens = _tokens(scope) if scope["type"] == "http" and self._per_minute else 0
        if not tokens:
            await self._app(scope, receive, send)
            return
        buckets: Buckets = scope["app"].state.service.buckets
        taken = buckets.take(_client(scope), tokens)
        told = _told(taken, self._per_minute)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        if taken.is_granted:
            await self._app(scope, receive, counted)
            return
        refusal = _refusal(scope, f"more than {self._per_minute} requests a minute", taken.wait)
        await refusal(scope, receive, counted)


class GuessLimited:
    """Turns away an address that showed too many keys that are none."""

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        """Let an address show so many a minute; 0: as many as it likes."""
        self._app, self._per_minute = app, per_minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count what is not let in."""
        if scope["type"] != "http" or not self._per_minute or scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        buckets: Buckets = scope["app"].state.service.buckets
        guesser = f"guesses of {_address(scope)}"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                buckets.take(guesser, 1)
            await send(message)

        if buckets.take(guesser, 0).left:
            await self._app(scope, receive, counted)
        else:
            refusal = _refusal(scope, "too many requests without a good key", 1)
            await refusal(scope, receive, send)


def _refusal(scope: Scope, detail: str, seconds: float) -> Response:
    wait = max(1, ceil(seconds))
    return problem(
        429,
        f"{detail}; ask again in {wait} s",
        scope["state"]["request_id"],
        headers={"Retry-After": str(wait)},
    )


def _tokens(scope: Scope) -> float:
    path: str = scope["path"]
    if not path.startswith("/v1/"):
        return 0
    return PICTURE if scope["method"] == "GET" and path.endswith("/thumbnail") else 1


def _client(scope: Scope) -> str:
    """Return who asks: a key, or else an address."""
    key = getattr(scope["state"].get("caller"), "key", None)
    return _address(scope) if key is None else f"key {key}"


def _address(scope: Scope) -> str:
    """Return the address of a client; of IPv6 the network, which one client has."""
    client = scope.get("client")
    try:
        address = ip_address(client[0] if client else "")
    except ValueError:  # of a socket without addresses
        return "somebody"
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ip_network((address, 64), strict=False))


def _told(taken: Taken, per_minute: int) -> tuple[tuple[bytes, bytes], ...]:
    # As draft-ietf-httpapi-ratelimit-headers has them.
    full = (per_minute - taken.left) * MINUTE / per_minute
    return (
        (b"ratelimit-policy", f'"client";q={per_minute};w={MINUTE:.0f}'.encode()),
        (b"ratelimit", f'"client";r={taken.left};t={ceil(full)}'.encode()),
    )
