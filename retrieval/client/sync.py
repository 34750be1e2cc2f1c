"""The client for programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Unpack

from retrieval.client import calls
from retrieval.client.calls import SearchOptions
from retrieval.client.errors import Busy, Unreachable
from retrieval.client.images import QueryImages, Upload, read_all, read_file
from retrieval.client.job_calls import Progress, TableKind, Wait, kind_of, read_images
from retrieval.client.sending import Sender
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


class Client(Sender):
    """One catalogue of a service. Threads may share it; a process needs one of its own.

    Searches, and whatever else changes nothing, are sent again if the service is busy or the
    connection fails. All methods raise ServiceError, of one of the kinds in `errors`, and
    UsageError for what is wrong without asking.

    >>> with Client("http://127.0.0.1:8000", key="ft_...", catalog="shop") as client:
    ...     answer = client.search("query.jpg", where="wing_color=grey", limit=5)
    >>> [hit.name for hit in answer.hits]
    """

    def search(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 20,
        **options: Unpack[SearchOptions],
    ) -> Answer:
        """Find images like a picture, passing a filter, or both, as `retrieval.Catalog.search`.

        >>> client.search(where=(Attr("size") == "small") & (Field("price") < 50), facets=[])
        >>> client.search(like=17, unlike=[23], weight=0.7, explain=True)

        Args:
            image: a path, a URL, bytes, an open file or what `keep` returned; of several, the
                mean is meant.
            where: the filter in any form; several must all hold.
            limit: the greatest number of hits of this page.
            options: see `SearchOptions`.

        Raises:
            ImageError: a file cannot be read.
        """
        return self._send(self._calls.search(read_all(image), where, limit, options))

    def pages(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 20,
        **options: Unpack[SearchOptions],
    ) -> Iterator[Answer]:
        """Search, page after page, of one generation of the index.

        The image is read once and sent for each page, unless it is one that `keep` returned.

        Args:
            image: as of `search`.
            where: as of `search`.
            limit: the greatest number of hits of a page.
            options: as of `search`; a `cursor` says where to begin.

        Raises:
            Expired: the index has changed, and the service has let go of the generation that
                the pages are of; whether to begin again is for the caller to decide.
            ImageError: a file cannot be read.
        """
        images = read_all(image)
        while True:
            answer = self._send(self._calls.search(images, where, limit, options))
            yield answer
            if answer.next is None:
                return
            options["cursor"] = answer.next

    def hits(
        self,
        image: QueryImages = None,
        where: Where = (),
        limit: int = 100,
        **options: Unpack[SearchOptions],
    ) -> Iterator[Hit]:
        """Do as `pages`, hit by hit; `limit` is how many are asked for at a time.

        >>> from itertools import islice
        >>> best = list(islice(client.hits(where="size=small"), 1000))
        """
        for page in self.pages(image, where, limit, **options):
            yield from page.hits

    def keep(self, image: Upload) -> Picture:
        """Have the service keep a picture for some days, to search with again and again.

        >>> picture = client.keep("query.jpg")
        >>> client.search(picture, where="wing_color=grey")

        Raises:
            ImageError: the file cannot be read.
        """
        return self._send(self._calls.keep(read_file(image)))

    def catalogs(self) -> tuple[CatalogInfo, ...]:
        """List the catalogues that the key may read."""
        return self._send(calls.catalogs())

    def catalog(self) -> CatalogInfo:
        """Describe the catalogue."""
        return self._send(self._calls.info())

    def attributes(self) -> tuple[AttributeGroup, ...]:
        """List the groups of attributes, with how many images have each value."""
        return self._send(self._calls.attributes())

    def image(self, id: int) -> Image:
        """Describe an image by its id, as hits have it.

        Raises:
            NotFound: there is none.
        """
        return self._send(self._calls.image(id))

    def thumbnail(self, of: int | Picture, side: int = 400) -> bytes:
        """Return an image, small, as JPEG.

        Args:
            of: an id, or what `keep` returned.
            side: the longer side in pixels, at most: 200, 400, 800 or 1600.
        """
        return self._send(self._calls.thumbnail(of, side))

    def heatmap(self, of: int | Picture, attribute: str, side: int = 400) -> bytes:
        """Return an image under the heat of an attribute, as JPEG.

        Args:
            of: an id, or what `keep` returned.
            attribute: such as `wing_color=grey`.
            side: as of `thumbnail`.
        """
        return self._send(self._calls.heatmap(of, attribute, side))

    def ready(self) -> bool:
        """Say whether the service is there and can search every catalogue."""
        with suppress(Busy, Unreachable):
            return self._send(calls.ready())
        return False

    def add(
        self, images: Iterable[Upload], fields: Sequence[Mapping[str, Any] | None] | None = None
    ) -> Job:
        """Add images to the catalogue; the service reads them at once and embeds them later.

        All of them are in memory while they are sent: add many by the hundred. Those that cannot
        be read are left out, and told of in the job's result.

        >>> job = client.add(["a.jpg", "b.jpg"], fields=[{"price": 12.5}, None])
        >>> [image.id for image in client.wait(job).result.images]

        Args:
            images: 1 to 1000 paths, bytes or open files.
            fields: of each image what is imported with it, or None.

        Raises:
            ImageError: a file cannot be read.
        """
        return self._send(self._job_calls.add(read_images(images), fields))

    def delete(self, ids: int | Iterable[int]) -> Job:
        """Delete images, for good."""
        return self._send(self._job_calls.delete(ids))

    def update(self) -> Job:
        """Have the service look through the catalogue's folder for what is new or gone."""
        return self._send(self._job_calls.update())

    def import_fields(self, table: Upload, kind: TableKind | None = None) -> Job:
        """Import prices, titles or own attributes, as `finetag-index import`.

        Args:
            table: with a column `path` or `id`.
            kind: of table; None: what the ending of its path says.

        Raises:
            ImageError: the file cannot be read.
        """
        return self._send(self._job_calls.import_fields(read_file(table), kind_of(table, kind)))

    def job(self, job: Job | str) -> Job:
        """Say how a job stands.

        Raises:
            NotFound: there is none of that id, or no longer.
        """
        return self._send(self._job_calls.job(job))

    def jobs(self, limit: int = 50) -> tuple[Job, ...]:
        """List the newest jobs, without their results."""
        return self._send(self._job_calls.jobs(limit))

    def cancel(self, job: Job | str) -> Job:
        """Cancel a job: at once if it waits, else at its next good moment; not if it has ended."""
        return self._send(self._job_calls.cancel(job))

    def wait(
        self, job: Job | str, timeout: float = 600.0, on_progress: Progress | None = None
    ) -> Job:
        """Wait until a job is done, and searches show what it did.

        Other worker processes of the service than the one that was asked may take a second more.

        Args:
            job: what a change returned, or its id.
            timeout: seconds.
            on_progress: called with the job whenever it has come further.

        Raises:
            JobError: it failed, was cancelled, or has not ended in time.
        """
        wait = Wait(timeout, on_progress)
        while (pause := wait.pause(found := self.job(job))) is not None:
            time.sleep(pause)
        while (pause := wait.pause_until_shown(found, self.catalog())) is not None:
            time.sleep(pause)
        return found
