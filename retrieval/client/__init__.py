"""The client of `finetag-serve`: what `retrieval.Catalog` does, over HTTP, with answers of types.

>>> from retrieval.client import Client
>>> with Client("http://127.0.0.1:8000", key="ft_...", catalog="shop") as client:
...     answer = client.search("query.jpg", where="wing_color=grey", limit=5)
>>> [hit.name for hit in answer.hits]

`AsyncClient` is the same for programs with an event loop. `calls` and `job_calls` say what goes
over the wire, `retries` what is sent again, `errors` what goes wrong; `sending` sends.
"""

from retrieval.client.asynchronous import AsyncClient
from retrieval.client.errors import (
    Busy,
    Expired,
    NotAllowed,
    NotFound,
    ServiceError,
    Unreachable,
)
from retrieval.client.job_calls import JobError
from retrieval.client.sync import Client
from retrieval.service.job_models import Job
from retrieval.service.models import (
    Answer,
    AttributeGroup,
    CatalogInfo,
    Hit,
    Image,
    Picture,
)

__all__ = [
    "Answer",
    "AsyncClient",
    "AttributeGroup",
    "Busy",
    "CatalogInfo",
    "Client",
    "Expired",
    "Hit",
    "Image",
    "Job",
    "JobError",
    "NotAllowed",
    "NotFound",
    "Picture",
    "ServiceError",
    "Unreachable",
]
