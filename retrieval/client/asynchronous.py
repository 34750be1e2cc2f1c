"""The client for programs with an event loop, asyncio's or trio's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Unpack

from anyio import to_thread

from retrieval.client import calls
from retrieval.client.calls import SearchOptions
from retrieval.client.errors import Busy, Unreachable
from retrieval.client.images import QueryImages, Upload, read_all, read_file
from retrieval.client.sending import AsyncSender
from retrieval.service.models import (
    Answer,
    AttributeGroup,
    CatalogInfo,
    Hit,
    Image,
    Picture,
)
from retrieval.where import Where


class AsyncClient(AsyncSender):
    """One catalogue of a service, for one event loop; all else is as of `Client`.

    >>> async with AsyncClient("http://127.0.0.1:8000", key="ft_...", catalog="shop") as client:
    ...     answer = await client.search("query.jpg", where="wing_color=grey", limit=5)
    ...     async for hit in client.hits(where="size=small"):
    ...         print(hit.name)
    """

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
