"""Everything that goes wrong, as `application/problem+json` (RFC 9457) with one line for people."""

from __future__ import annotations

import errno
import json
import logging
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import DatabaseError
from starlette.exceptions import HTTPException

from finetag_model.console import printable
from finetag_model.errors import (
    CatalogueError,
    ExpiredError,
    FineTagError,
    ImageError,
    UsageError,
)
from retrieval.service.catalogs import NotOpen
from retrieval.service.models import PROBLEM_TYPE, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

_MOST_ERRORS = 20
_LONGEST = 200
"""Characters of what is said of one wrong field, whose name may be a client's."""

_log = logging.getLogger("finetag.serve")

_PART_TOO_LARGE = re.compile(r"(?:Part|Field) exceeded maximum size of (\d+)KB\.")
"""How the reader of forms says it, as a plain 400."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# The most special first.
_STATUS = (
    (ExpiredError, HTTPStatus.GONE),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (ImageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (CatalogueError, HTTPStatus.SERVICE_UNAVAILABLE),
    (FineTagError, HTTPStatus.INTERNAL_SERVER_ERROR),
)

_FAILED = {
    HTTPStatus.SERVICE_UNAVAILABLE: "the catalogue cannot be searched at the moment; "
    "the service's log says why under the request's id",
    HTTPStatus.INTERNAL_SERVER_ERROR: "the service could not do it; "
    "its log says why under the request's id",
}


def answer_problems(app: FastAPI) -> None:
    """Have an application answer every error as a problem."""
    app.add_exception_handler(FineTagError, _finetag)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _disk)
    app.add_exception_handler(DatabaseError, _disk)


def problem(
    status: int,
    detail: str,
    request_id: str | None = None,
    *,
    errors: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that tells of a problem."""
    body = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id,
        errors=errors,
    )
    # In ASCII: half a surrogate pair, which a client may have sent, is nothing in UTF-8.
    return Response(
        json.dumps(body.model_dump()), status, headers=dict(headers or {}), media_type=PROBLEM_TYPE
    )


def unexpected(request_id: str | None) -> Response:
    """Return the response after an error that nobody expected."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "something unexpected went wrong; the service's log has it under the request's id",
        request_id,
    )


def _id_of(request: Request) -> str | None:
    found: str | None = getattr(request.state, "request_id", None)
    return found


def _finetag(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status < HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, NotOpen):
        return problem(status, str(error), _id_of(request))
    # Its words name files of the server.
    _log.error("request failed", extra={"problem": str(error)})
    return problem(status, _FAILED[status], _id_of(request))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = tuple(
        _shortened(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}")
        for each in error.errors()[:_MOST_ERRORS]
    )
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"the request is not as it must be: {errors[0] if errors else 'it cannot be read'}",
        _id_of(request),
        errors=errors,
    )


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, OSError):  # an upload that found no room
        return _disk(request, error.__cause__)
    if too_large := _PART_TOO_LARGE.fullmatch(error.detail):
        most = f"{int(too_large[1]):,} KiB"
        told = (
            f"a text of the form, such as fields or query, is larger than {most}; send less at once"
        )
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told, _id_of(request))
    return problem(error.status_code, error.detail, _id_of(request), headers=error.headers)


def _disk(request: Request, error: Exception) -> Response:
    """Say that the disk is full, or what else is wrong with it, without telling a path."""
    if isinstance(error, DatabaseError):
        reason = str(error.orig)
        is_full = "full" in reason
    else:
        assert isinstance(error, OSError)  # noqa: S101
        reason = error.strerror or str(error)
        is_full = error.errno in _FULL
    _log.error("request failed", extra={"problem": str(error)})
    if is_full:
        status, told = HTTPStatus.INSUFFICIENT_STORAGE, "the disk of the service is full"
    else:
        status, told = HTTPStatus.SERVICE_UNAVAILABLE, f"the service cannot use its disk: {reason}"
    return problem(status, told.lower(), _id_of(request))


def _shortened(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
