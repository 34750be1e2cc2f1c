"""Fetch a query image by URL, safely enough for a service that anybody may ask.

A stranger's URL must not reach what only this machine can reach: each host is looked up once, all
of its addresses are judged, and the connection goes to those very addresses. Nor may it take much
time or memory. What the bytes are is for the decoder to say.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin

import httpcore

from finetag_model.console import printable
from finetag_model.errors import ImageError, UsageError
from retrieval.address import is_public
from retrieval.url import Url, read_url, shown_url

MAX_BYTES = 20 * 2**20
"""Size of the largest image that is fetched."""

SECONDS = 10.0
"""The time for all: names, connections, redirects and the image."""

MAX_REDIRECTS = 5

_TRIED = 4  # addresses of one host; more serve to knock on many doors
_REDIRECTS = {301, 302, 303, 307, 308}


def fetch(url: str, *, private: bool = False) -> bytes:
    """Fetch what a URL of http or https names.

    Redirects are followed, each judged like the first URL, but never from https to http. Proxies
    of the environment are not used.

    Args:
        url: IDNA hosts and IPv6 literals are fine; a fragment is dropped.
        private: also from addresses that are not public, such as those of a local network; only
            for people on their own machine.

    Raises:
        UsageError: the URL is malformed, or its host does not have public addresses alone.
        ImageError: the host is not known or does not answer well and in time, the image is too
            large, or a redirect leads where it must not.
    """
    deadline = _Deadline(SECONDS)
    before: Url | None = None
    target = url
    for _ in range(1 + MAX_REDIRECTS):
        try:
            here = read_url(target)
            if before is not None and before.scheme == "https" and here.scheme == "http":
                raise ImageError("it leads from https to http")  # noqa: TRY301
            answer = _answer(here, deadline, private=private)
        except (UsageError, ImageError) as error:
            kind = type(error) if before is None else ImageError
            way = "" if before is None else "after a redirect, "
            raise kind(f"{shown_url(url)} cannot be fetched: {way}{error}") from error
        if isinstance(answer, bytes):
            return answer
        before, target = here, answer
    raise ImageError(
        f"{shown_url(url)} cannot be fetched: it redirects more than {MAX_REDIRECTS} times"
    )


class _Deadline:
    """When all must be done, however many steps it takes."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, more than 0.

        Raises:
            httpcore.TimeoutException: none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise httpcore.TimeoutException
        return left


def _answer(url: Url, deadline: _Deadline, *, private: bool) -> bytes | str:
    """Ask one server for the image, or for the URL it redirects to.

    Raises:
        UsageError, ImageError: as `fetch`, but the messages are the reason alone.
    """
    try:
        addresses = _looked_up(url, deadline)
        if not private and not all(is_public(ip_address(address)) for address in addresses):
            raise UsageError("its host is not a public address")
        backend = _Backend(addresses[:_TRIED], deadline)
        with (
            httpcore.ConnectionPool(network_backend=backend) as pool,
            pool.stream("GET", _request_url(url), headers=_headers(url)) as response,
        ):
            if response.status in _REDIRECTS and (places := _values(response, b"location")):
                return _redirect(url, places[0])
            if response.status != HTTPStatus.OK:
                raise ImageError(f"the server answered {_status(response.status)}")
            return _body(response)
    except httpcore.TimeoutException as error:
        raise ImageError(f"it took longer than {SECONDS:g} s") from error
    except httpcore.ConnectError as error:
        raise ImageError("the server cannot be reached") from error
    except httpcore.NetworkError as error:
        raise ImageError("the connection broke off") from error
    except httpcore.ProtocolError as error:
        raise ImageError("the answer is incomplete or not HTTP") from error


def _looked_up(url: Url, deadline: _Deadline) -> list[str]:
    """Return every address of the host, IPv4 and IPv6, as the system resolves it.

    In a thread, since the system's resolver knows no deadline; it may outlive this call.
    """
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty as error:
        raise httpcore.TimeoutException from error
    if isinstance(answer, OSError):
        raise ImageError("its host is not known") from answer
    return list(dict.fromkeys(str(address[0]) for *_, address in answer))


def _request_url(url: Url) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.scheme, host=url.host.encode(), port=url.port, target=url.target.encode()
    )


def _headers(url: Url) -> list[tuple[str, str]]:
    return [
        ("Host", url.authority),
        ("User-Agent", "FineTag"),
        ("Accept", "image/*, */*;q=0.1"),
        ("Accept-Encoding", "identity"),  # what is packed small may unpack to fill memory
        ("Connection", "close"),
    ]


def _body(response: httpcore.Response) -> bytes:
    codings = {value.strip().lower() for value in _values(response, b"content-encoding")}
    if not codings <= {b"", b"identity"}:
        raise ImageError("the server sent it compressed, though asked not to")
    for length in _values(response, b"content-length"):
        _check_size(int(length))  # a number, or else the library has refused it
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        _check_size(len(body))
    return bytes(body)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageError(f"it is larger than {MAX_BYTES / 2**20:g} MiB")


def _redirect(url: Url, place: bytes) -> str:
    try:
        return urljoin(str(url), place.decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise ImageError("it redirects to what is no well-formed URL") from error


def _status(number: int) -> str:
    """Name a status in the words of the standard, not in those of the server."""
    try:
        return f"{number} {HTTPStatus(number).phrase}"
    except ValueError:
        return str(number)


def _values(response: httpcore.Response, name: bytes) -> list[bytes]:
    return [value for key, value in response.headers if key.lower() == name]


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that were judged, whatever the name, and minds the deadline.

    The name stays what TLS verifies and what the server is told.
    """

    def __init__(self, addresses: list[str], deadline: _Deadline) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the addresses that answers; each has its share of the time."""
        failure: Exception = httpcore.ConnectError("no address")
        for position, address in enumerate(self._addresses):
            share = self._deadline.left() / (len(self._addresses) - position)
            try:
                stream = self._system.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self._deadline)
        raise failure


class _Stream(httpcore.NetworkStream):
    """A connection on which every step has what is left of the time, not a time of its own."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._deadline.left()
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            cause = error.__cause__
            reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
            raise ImageError(
                f"TLS failed ({printable(reason or 'no handshake').rstrip('.')})"
            ) from error
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
