"""What sends calls, again where that may help: one class with an event loop, one without."""

from __future__ import annotations

import time
from typing import Self, TypeVar

import httpx2
from anyio import sleep

from retrieval.client.calls import Call, CatalogCalls
from retrieval.client.connection import connection
from retrieval.client.errors import ServiceError, check, told_plainly
from retrieval.client.job_calls import JobCalls
from retrieval.client.retries import pause

T = TypeVar("T")


class Sender:
    """Sends calls; a context manager that closes the connections."""

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        catalog: str = "main",
        timeout: float = 30.0,
        retries: int = 2,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent before the first call; `close`, or `with`, closes the connections.

        Args:
            address: of the service, with the path it has behind a proxy.
            key: as `finetag-keys` printed it; it is sent to this address alone.
            catalog: the name the service has it by.
            timeout: seconds without a sign of life after which a call fails.
            retries: how often what changes nothing is sent again.
            transport: sends requests, such as `httpx2.HTTPTransport(verify=...)` for a
                certificate authority of your own.

        Raises:
            UsageError: one of them cannot be.
        """
        told = connection(address, key, timeout)
        self.address, self.catalog_name = told.address, catalog
        self._calls, self._job_calls = CatalogCalls(catalog), JobCalls(catalog)
        self._retries, self._timeout = retries, timeout
        self._http = httpx2.Client(**told.options, transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r}, catalog={self.catalog_name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: Call[T]) -> T:
        sent = 0
        while True:
            sent += 1
            try:
                with told_plainly(self.address):
                    response = self._http.request(call.method, call.path, **call.parts)
                check(response)
                return call.read(response)
            except ServiceError as error:
                time.sleep(pause(call, error, sent, self._retries, self._timeout))


class AsyncSender:
    """Sends calls from an event loop, asyncio's or trio's; else as `Sender`."""

    def __init__(
        self,
        address: str,
        *,
        key: str | None = None,
        catalog: str = "main",
        timeout: float = 30.0,
        retries: int = 2,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Do as `Client`; the transport is such as `httpx2.AsyncHTTPTransport(verify=...)`."""
        told = connection(address, key, timeout)
        self.address, self.catalog_name = told.address, catalog
        self._calls, self._job_calls = CatalogCalls(catalog), JobCalls(catalog)
        self._retries, self._timeout = retries, timeout
        self._http = httpx2.AsyncClient(**told.options, transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r}, catalog={self.catalog_name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        sent = 0
        while True:
            sent += 1
            try:
                with told_plainly(self.address):
                    response = await self._http.request(call.method, call.path, **call.parts)
                check(response)
                return call.read(response)
            except ServiceError as error:
                await sleep(pause(call, error, sent, self._retries, self._timeout))
