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
    page_routes,
    search_routes,
    session_routes,
)
from retrieval.service.access import KEY_SCHEMES, Doorkeeper
from retrieval.service.plain_start import PlainStart
from retrieval.service.problems import answer_problems
from retrieval.service.service import Service
from retrieval.service.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    """Return the application.

    Args:
        settings: None takes what `Settings.hand_down` left, as worker processes do.
    """
    told = settings or Settings.inherited()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
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
        middleware=[Middleware(PlainStart), Middleware(Doorkeeper)],  # the outermost first
    )
    answer_problems(app)
    for routes in (search_routes, catalog_routes, job_routes):
        app.include_router(routes.router, dependencies=KEY_SCHEMES)
    for open_to_all in (session_routes, health_routes, page_routes):
        app.include_router(open_to_all.router)
    return app
