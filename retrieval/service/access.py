"""Who may do what: the catalogue that a request names, if whoever asks may read or change it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Path

from retrieval.service.catalogs import Served
from retrieval.service.models import CatalogName
from retrieval.service.service import Serving


def _readable(service: Serving, catalog: Annotated[CatalogName, Path()]) -> Served:
    if catalog not in service.catalogs:
        raise HTTPException(404, f"there is no catalogue {catalog!r}")
    return service.catalogs[catalog]


def _writable(served: Annotated[Served, Depends(_readable)]) -> Served:
    return served


Readable = Annotated[Served, Depends(_readable)]
Writable = Annotated[Served, Depends(_writable)]
