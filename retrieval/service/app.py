"""The application: routes, errors, and what is opened at the start and closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from fastapi.middleware import Middleware

from retrieval.service import (
    catalog_routes,
    health_routes,
    job_routes,
    metrics_routes,
    page_routes,
    search_routes,
    session_routes,
)
from retrieval.service.access import Doorkeeper
from retrieval.service.bounds import Bounded
from retrieval.service.headers import SecurityHeaders
from retrieval.service.observing import Observed
from retrieval.service.openapi import COMMON, describe
from retrieval.service.origins import OwnSite
from retrieval.service.plain_start import PlainStart
from retrieval.service.problems import answer_problems
from retrieval.service.rates import GuessLimited, RateLimited
from retrieval.service.service import Service
from retrieval.service.settings import Settings

THREADS = 16
"""That work for the requests of one worker process. More do not compute faster on a few cores; but
with fewer, a page of thumbnails would keep searches waiting, and the network's batches be small."""


def create(settings: Settings | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: None takes what `Settings.hand_down` left, as worker processes do.
    """
    told = settings or Settings.inherited()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = THREADS
        service = await to_thread.run_sync(Service.start, told)
        app.state.service = service
        try:
            yield
        finally:
            await to_thread.run_sync(service.close)

    app = FastAPI(
        title="FineTag",
        summary="Lookalikes in a folder of images, filtered by attributes read off the pictures.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        middleware=[  # the outermost first
            Middleware(PlainStart),
            Middleware(SecurityHeaders),
            Middleware(Observed),
            Middleware(OwnSite, hosts=told.hosts),
            Middleware(GuessLimited, per_minute=told.limits.per_minute),
            Middleware(Doorkeeper),
            Middleware(RateLimited, per_minute=told.limits.per_minute),
            Middleware(Bounded, limits=told.limits),
        ],
    )
    answer_problems(app)
    for routes in (search_routes, catalog_routes, job_routes, metrics_routes, session_routes):
        app.include_router(routes.router, responses=COMMON)
    for open_to_all in (health_routes, page_routes):
        app.include_router(open_to_all.router)
    describe(app)
    return app
