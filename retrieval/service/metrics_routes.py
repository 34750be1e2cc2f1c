"""What Prometheus reads."""

from __future__ import annotations

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Response
from prometheus_client import CONTENT_TYPE_LATEST

from retrieval.service import metrics
from retrieval.service.access import Calling
from retrieval.service.keys import EVERY
from retrieval.service.service import Serving

router = APIRouter(tags=["health"])


async def may_read_metrics(caller: Calling) -> None:
    """Let through who may read the metrics, which are of all catalogues.

    Raises:
        HTTPException: whoever asks may not.
    """
    if EVERY not in caller.catalogs:
        raise HTTPException(403, "the metrics are for keys that see all catalogues")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    dependencies=[Depends(may_read_metrics)],
)
async def read_metrics(service: Serving) -> Response:
    """Return what was counted, as text for Prometheus."""

    # In a thread that waits for none of those that work for requests.
    def read() -> bytes:
        return metrics.exposition(service.queue.counts())

    text = await to_thread.run_sync(read, limiter=service.metrics_limiter)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
