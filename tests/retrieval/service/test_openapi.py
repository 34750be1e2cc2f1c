"""The description of the interface is true: what it allows is answered as it says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from retrieval.service.models import SearchRequest
from tests.image_files import encoded, scene
from tests.retrieval.service.conftest import StartService

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture
def api(start: StartService, monkeypatch: pytest.MonkeyPatch) -> Any:
    picture = encoded(scene(), "JPEG")
    monkeypatch.setattr("retrieval.service.heat.Heat.jpeg", lambda *_: picture)
    monkeypatch.setattr("retrieval.service.decoding.Decoder.jpeg", lambda *_: picture)
    monkeypatch.setattr("retrieval.service.decoding.Decoder.size", lambda *_: (96, 64))
    monkeypatch.setattr("retrieval.service.runners.Runners.start", lambda *_: None)
    monkeypatch.setattr("retrieval.service.runners.Runners._start", lambda *_: None)
    client = start(limits={"per_minute": 0}, hosts=("testserver",))
    return schemathesis.openapi.from_asgi("/openapi.json", client.app)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_described(api: Any, mode: schemathesis.GenerationMode) -> None:
    """What the description allows (positive), and what it does not (negative)."""
    tried = 0
    for found in api.get_all_operations():
        operation = found.ok()
        if mode is schemathesis.GenerationMode.NEGATIVE and not (
            operation.body or operation.path_parameters or operation.query
        ):
            continue  # there is nothing to do wrong

        @settings(
            max_examples=20,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if "catalog" in case.path_parameters:
                case.path_parameters["catalog"] = "shop"
            case.validate_response(case.call(), checks=CHECKS)

        check()
        tried += 1
    assert tried >= 10


@pytest.fixture
def description(client: TestClient) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


def test_problems_are_described(description: dict[str, Any]) -> None:
    expected = {"400", "401", "403", "404", "408", "413", "421", "422", "429", "500", "503"}
    for name, operation in operations(description).items():
        if "/v1/" in name:
            assert expected <= operation["responses"].keys(), name
            for status in expected:
                (kind,) = operation["responses"][status]["content"]
                assert kind == "application/problem+json"
    assert description["components"]["schemas"]["Problem"]["properties"]["detail"]
    assert "HTTPValidationError" not in description["components"]["schemas"]


def test_pictures_are_described(description: dict[str, Any]) -> None:
    for name, operation in operations(description).items():
        if name.endswith(("thumbnail", "heatmap")):
            assert list(operation["responses"]["200"]["content"]) == ["image/jpeg"]


def test_there_are_examples(description: dict[str, Any]) -> None:
    examples = description["components"]["schemas"]["SearchRequest"]["examples"]
    for example in examples:
        SearchRequest.model_validate(example)
    for name, operation in operations(description).items():
        for parameter in operation.get("parameters", []):
            known = parameter["schema"]
            assert {"default", "examples", "enum"} & known.keys(), f"{name}: {parameter['name']}"


def test_no_route_is_left_out(client: TestClient, description: dict[str, Any]) -> None:
    assert {"/healthz", "/readyz", "/metrics", "/v1/catalogs"} <= description["paths"].keys()
