"""What the description of the interface (OpenAPI) says of all routes, and of pictures.

Keys are told of here alone, since `Doorkeeper` has looked at them before there is a route: as
dependencies of the routes they would be looked for again with every request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from retrieval.service.access import KEY_SCHEMES, is_open
from retrieval.service.models import PROBLEM_TYPE, Problem

if TYPE_CHECKING:
    from fastapi import FastAPI


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": schema}}}


COMMON: dict[int | str, dict[str, Any]] = {
    400: _problem("The request is wrong; the detail says what."),
    401: _problem("There is no key, or not one that is known."),
    403: _problem("The key, or the service, does not allow it."),
    404: _problem("There is no such catalogue or image."),
    408: _problem("The request took too long to arrive."),
    410: _problem("The generation of the cursor, or a kept picture, is gone."),
    413: _problem("The request is too large."),
    421: _problem("The service is not known by this name."),
    422: _problem("A part of the request is wrong, or an image cannot be read."),
    429: _problem("The client asks too often."),
    500: _problem("The service failed."),
    503: _problem("The service has too much to do, or the catalogue cannot be searched."),
}
"""The problems that a route may answer with."""

JPEG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""The answer that is a picture."""


def describe(app: FastAPI) -> None:
    """Have an application describe itself with the model of problems, and what needs a key."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, summary=app.summary, routes=app.routes
            )
            parts = made.setdefault("components", {})
            schema = Problem.model_json_schema(mode="serialization")
            parts.setdefault("schemas", {})[Problem.__name__] = schema
            parts["securitySchemes"] = KEY_SCHEMES
            for path, operations in made["paths"].items():
                if not is_open(path):
                    for operation in operations.values():
                        operation["security"] = [{name: []} for name in KEY_SCHEMES]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
