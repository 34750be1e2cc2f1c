"""What the routes share: the settings, the catalogues, and what reads, embeds and explains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request
from threadpoolctl import threadpool_limits

from finetag_model.embedder import load_embedder
from retrieval.service.batching import BatchingEmbedder
from retrieval.service.callers import Callers
from retrieval.service.catalogs import Catalogs, Served
from retrieval.service.decoding import Decoder
from retrieval.service.heat import Heat
from retrieval.service.job_queue import Queue
from retrieval.service.pictures import Pictures
from retrieval.service.rates import Buckets
from retrieval.service.runners import Runners
from retrieval.service.settings import Settings
from retrieval.service.store import open_store
from retrieval.service.turns import Turns


@dataclass(frozen=True)
class Service:
    """One worker process of a service."""

    settings: Settings
    embedder: BatchingEmbedder
    decoder: Decoder
    heat: Heat
    catalogs: Catalogs
    pictures: Pictures
    queue: Queue
    runners: Runners
    callers: Callers
    turns: Turns
    buckets: Buckets

    @classmethod
    def start(cls, settings: Settings) -> Service:
        """Load the model and open the catalogues; `close` ends what was started.

        Raises:
            CheckpointError: the model cannot be loaded.
            FineTagError: the state folder cannot be used.
        """
        # Searches run side by side; were each to use all cores, they would wait for each other.
        threadpool_limits(1, user_api="blas")
        store = open_store(settings.state)
        queue = Queue(store, settings.catalogs)
        network = load_embedder(settings.model, settings.runtime)
        decoder = Decoder(settings.limits)  # whose processes start while indexes are opened
        embedder = BatchingEmbedder(network)
        served = {
            name: Served(name, folder, embedder, decoder.pixels)
            for name, folder in settings.catalogs.items()
        }
        pictures = Pictures(settings.state / "pictures", settings.limits)
        return cls(
            settings=settings,
            embedder=embedder,
            decoder=decoder,
            heat=Heat(settings.model, network, decoder),
            catalogs=Catalogs(served),
            pictures=pictures,
            queue=queue,
            runners=Runners(settings, queue),
            callers=Callers(store),
            turns=Turns(),
            buckets=Buckets(settings.state / "rates", settings.limits.per_minute),
        )

    @cached_property
    def metrics_limiter(self) -> CapacityLimiter:
        """What the thread that reads metrics is taken from."""
        return CapacityLimiter(1)

    def close(self) -> None:
        """End threads and processes."""
        self.runners.close()
        self.catalogs.close()
        self.decoder.close()
        self.embedder.close()
        self.buckets.close()


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]
