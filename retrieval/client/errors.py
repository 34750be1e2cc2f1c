"""What goes wrong between client and service; a class each where a caller acts differently.

    FineTagError
    └── ServiceError       no answer, or one that says what is wrong
        ├── Unreachable    no answer: try later, or look at the address
        ├── NotAllowed     401, 403: another key is needed
        ├── NotFound       404: there is no such catalogue, image or job
        ├── Expired        410: the cursor's generation, or a kept picture, is gone; begin again
        └── Busy           429, 503: try again after `retry_after`

A question that is wrong by itself is a UsageError and never sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx2
from pydantic import ValidationError

from finetag_model.console import printable
from finetag_model.errors import FineTagError
from retrieval.service.models import Problem
from retrieval.url import shown_url


class ServiceError(FineTagError):
    """The service did not do what it was asked; the message is one line fit to show.

    Attributes:
        detail: what is wrong; of a wrong filter, two more lines that point into it.
        status: the HTTP status; None if there was no answer.
        request_id: by which the service's log calls the request; None if it gave none.
        errors: of a request with wrong fields, what is wrong where.
        retry_after: seconds after which the service wants to be asked again; None if it did
            not say.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        errors: tuple[str, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        """Whoever reads the service's log needs the request's id, if it was the service's fault."""
        ours = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
        super().__init__(f"{detail} (request {request_id})" if ours and request_id else detail)
        self.detail, self.status = detail, status
        self.request_id, self.errors = request_id, errors
        self.retry_after = retry_after


class Unreachable(ServiceError):
    """There was no answer; `timed_out` says whether there was none in time."""

    timed_out = False


class NotAllowed(ServiceError):
    """There is no key, a wrong one, or one that may not do this."""


class NotFound(ServiceError):
    """There is no such catalogue, image or job."""


class Expired(ServiceError):
    """What was asked with is gone; the message says what.

    A cursor's generation of the index: begin again at the first page. A kept picture: keep it
    again.
    """


class Busy(ServiceError):
    """The service has too much to do, was asked too often, or cannot search yet."""


_KINDS: dict[int, type[ServiceError]] = {
    HTTPStatus.UNAUTHORIZED: NotAllowed,
    HTTPStatus.FORBIDDEN: NotAllowed,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.GONE: Expired,
    HTTPStatus.TOO_MANY_REQUESTS: Busy,
    HTTPStatus.SERVICE_UNAVAILABLE: Busy,
}


def check(response: httpx2.Response) -> None:
    """See that a response is a success.

    Raises:
        ServiceError: it is not, of the kind that its status asks for.
    """
    if response.is_success:
        return
    kind = _KINDS.get(response.status_code, ServiceError)
    problem = _problem(response)
    raise kind(
        problem.detail,
        status=response.status_code,
        request_id=problem.request_id or response.headers.get("X-Request-ID"),
        errors=problem.errors,
        retry_after=_retry_after(response),
    )


@contextmanager
def told_plainly(address: str) -> Iterator[None]:
    """Tell what goes wrong with a connection as Unreachable."""
    try:
        yield
    except httpx2.TimeoutException as error:
        unreachable = Unreachable(f"there is no answer in time from {address}")
        unreachable.timed_out = True
        raise unreachable from error
    except httpx2.RequestError as error:
        reason = printable(str(error)) or "it hung up"
        raise Unreachable(f"there is no answer from {address}: {reason}") from error


def misunderstood(response: httpx2.Response, reason: str) -> ServiceError:
    """Return the error of a success that is not what was asked for."""
    return ServiceError(
        f"what answers at {shown_url(str(response.url))} is no FineTag service of this version "
        f"({reason})",
        status=response.status_code,
        request_id=response.headers.get("X-Request-ID"),
    )


def _problem(response: httpx2.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:  # of a proxy
        place = shown_url(str(response.url))
        detail = f"{place} answers {response.status_code} {response.reason_phrase}".rstrip()
        if response.is_redirect:
            # Never followed: the key, and the picture, are for the service alone.
            elsewhere = shown_url(response.headers.get("Location", ""))
            detail += f": it leads to {elsewhere}; if that is the service, give that address"
        return Problem(
            title=response.reason_phrase, status=response.status_code, detail=printable(detail)
        )


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
