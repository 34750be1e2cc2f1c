"""The client for programs with an event loop, asyncio's or trio's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Unpack

from anyio import sleep, to_thread

from retrieval.client import calls
from retrieval.client.calls import SearchOptions
from retrieval.client.errors import Busy, Unreachable
from retrieval.client.images import QueryImages, Upload, read_all, read_file
from retrieval.client.job_calls import Progress, TableKind, Wait, kind_of, read_images
from retrieval.client.sending import AsyncSender
from retrieval.service.job_models import Job
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

    async def add(
        self, images: Iterable[Upload], fields: Sequence[Mapping[str, Any] | None] | None = None
    ) -> Job:
        """Do as `Client.add`."""
        read = await to_thread.run_sync(read_images, images)
        return await self._send(self._job_calls.add(read, fields))

    async def delete(self, ids: int | Iterable[int]) -> Job:
        """Do as `Client.delete`."""
        return await self._send(self._job_calls.delete(ids))

    async def update(self) -> Job:
        """Do as `Client.update`."""
        return await self._send(self._job_calls.update())

    async def import_fields(self, table: Upload, kind: TableKind | None = None) -> Job:
        """Do as `Client.import_fields`."""
        read = await to_thread.run_sync(read_file, table)
        return await self._send(self._job_calls.import_fields(read, kind_of(table, kind)))

    async def job(self, job: Job | str) -> Job:
        """Do as `Client.job`."""
        return await self._send(self._job_calls.job(job))

    async def jobs(self, limit: int = 50) -> tuple[Job, ...]:
        """Do as `Client.jobs`."""
        return await self._send(self._job_calls.jobs(limit))

    async def cancel(self, job: Job | str) -> Job:
        """Do as `Client.cancel`."""
        return await self._send(self._job_calls.cancel(job))

    async def wait(
        self, job: Job | str, timeout: float = 600.0, on_progress: Progress | None = None
    ) -> Job:
        """Do as `Client.wait`."""
        wait = Wait(timeout, on_progress)
        while (pause := wait.pause(found := await self.job(job))) is not None:
            await sleep(pause)
        while (pause := wait.pause_until_shown(found, await self.catalog())) is not None:
            await sleep(pause)
        return found
