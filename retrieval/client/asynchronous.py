"""The client for programs with an event loop, asyncio's or trio's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self, TypeVar, Unpack

import httpx2
from anyio import sleep, to_thread

from retrieval.client import calls
from retrieval.client.calls import Call, CatalogCalls, SearchOptions
from retrieval.client.connection import connection
from retrieval.client.errors import Busy, ServiceError, Unreachable, check, told_plainly
from retrieval.client.images import QueryImages, Upload, read_all, read_file
from retrieval.client.retries import pause
from retrieval.service.models import (
    Answer,
    AttributeGroup,
    CatalogInfo,
    Hit,
    Image,
    Picture,
)
from retrieval.where import Where

T = TypeVar("T")


class AsyncClient:
    """One catalogue of a service, for one event loop; all else is as of `Client`.

    >>> async with AsyncClient("http://127.0.0.1:8000", key="ft_...", catalog="shop") as client:
    ...     answer = await client.search("query.jpg", where="wing_color=grey", limit=5)
    ...     async for hit in client.hits(where="size=small"):
    ...         print(hit.name)
    """

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
        self._calls = CatalogCalls(catalog)
        self._retries, self._timeout = retries, timeout
        self._http = httpx2.AsyncClient(**told.options, transport=transport)

    def __repr__(self) -> str:
        return f"AsyncClient({self.address!r}, catalog={self.catalog_name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def search(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 20,
        **options: Unpack[SearchOptions],
    ) -> Answer:
        """Do as `Client.search`; files are read by a thread."""
        images = await to_thread.run_sync(read_all, image)
        return await self._send(self._calls.search(images, where, limit, options))

    async def pages(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 20,
        **options: Unpack[SearchOptions],
    ) -> AsyncIterator[Answer]:
        """Do as `Client.pages`."""
        images = await to_thread.run_sync(read_all, image)
        while True:
            answer = await self._send(self._calls.search(images, where, limit, options))
            yield answer
            if answer.next is None:
                return
            options["cursor"] = answer.next

    async def hits(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 100,
        **options: Unpack[SearchOptions],
    ) -> AsyncIterator[Hit]:
        """Do as `Client.hits`."""
        async for page in self.pages(image, where, limit, **options):
            for hit in page.hits:
                yield hit

    async def keep(self, image: Upload) -> Picture:
        """Do as `Client.keep`."""
        data = await to_thread.run_sync(read_file, image)
        return await self._send(self._calls.keep(data))

    async def catalogs(self) -> tuple[CatalogInfo, ...]:
        """Do as `Client.catalogs`."""
        return await self._send(calls.catalogs())

    async def catalog(self) -> CatalogInfo:
        """Do as `Client.catalog`."""
        return await self._send(self._calls.info())

    async def attributes(self) -> tuple[AttributeGroup, ...]:
        """Do as `Client.attributes`."""
        return await self._send(self._calls.attributes())

    async def image(self, id: int) -> Image:
        """Do as `Client.image`."""
        return await self._send(self._calls.image(id))

    async def thumbnail(self, of: int | Picture, side: int = 400) -> bytes:
        """Do as `Client.thumbnail`."""
        return await self._send(self._calls.thumbnail(of, side))

    async def heatmap(self, of: int | Picture, attribute: str, side: int = 400) -> bytes:
        """Do as `Client.heatmap`."""
        return await self._send(self._calls.heatmap(of, attribute, side))

    async def ready(self) -> bool:
        """Do as `Client.ready`."""
        with suppress(Busy, Unreachable):
            return await self._send(calls.ready())
        return False

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
