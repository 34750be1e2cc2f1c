"""Whether the service is alive, and whether it can search: for load balancers.

They take no thread, so that they answer also when all are busy.
"""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from retrieval.service.service import Serving

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Say that the process is alive."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(service: Serving) -> dict[str, str]:
    """Say that every catalogue can be searched; 503 if one cannot."""
    closed = [served.name for served in service.catalogs if not served.is_open]
    if closed:
        raise HTTPException(503, f"not every catalogue can be searched yet: {len(closed)} cannot")
    return {"status": "ready"}
