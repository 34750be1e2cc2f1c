"""Whatever a body holds, the answer is a result or a problem, and never a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import build, import_fields
from tests.retrieval.service.conftest import StartService

SEARCH = "/v1/catalogs/shop/search"
JSON = {"content-type": "application/json"}

CONDITION = '{"attr": "upper", "in": ["grey"]}'


@pytest.fixture
def shop(
    start: StartService,
    shared: Path,
    root: Path,
    color_embedder: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> TestClient:
    """A service whose catalogue has fields."""
    monkeypatch.delenv("FINETAG_DATABASE", raising=False)
    folder = shared / "index-service-priced"
    if not folder.exists():
        build(root, folder, color_embedder)
        table = shared / "priced.jsonl"
        rows = [("red/red_blue.png", 5, "Lynx"), ("green/green_white.png", 7.5, "Ärmel")]
        lines = (
            json.dumps(dict(zip(("path", "price", "brand"), row, strict=True))) for row in rows
        )
        table.write_text("\n".join(lines))
        import_fields(table, folder)
    return start(catalogs={"shop": folder}, limits={"per_minute": 0})


def post(client: TestClient, body: bytes | str, **headers: str) -> Any:
    data = body.encode() if isinstance(body, str) else body
    return client.post(SEARCH, content=data, headers={**JSON, **headers})


@pytest.mark.parametrize(
    "body",
    [
        '{"where": ' + '{"not": ' * 100_000 + CONDITION + "}" * 100_001,
        '{"where": ' + '{"not": ' * 500 + CONDITION + "}" * 501,
        '{"where": {"and": ' + "[" * 100_000 + "]" * 100_000 + "}}",
        "[" * 500_000,
        '{"where": "' + "(" * 9_000 + '"}',
        '{"where": "' + "NOT " * 2_400 + 'upper=grey"}',
        '{"where": {"attr": "upper", "in": ["grey"], "at_least": NaN}}',
        '{"where": {"attr": "upper", "in": ["grey"], "at_least": 1e999}}',
        '{"where": {"attr": "upper", "in": ["grey"], "at_least": -Infinity}}',
        '{"where": {"attr": "upper", "in": ["gr\\ud800ey"]}}',
        '{"where": {"attr": "\\udfff", "in": ["grey"]}}',
        '{"where": {"\\ud800": 1}}',
        '{"where": "upper=\\ud800"}',
        '{"where": "upper=\\u0000"}',
        '{"where": {"attr": "up\\u0000per", "in": ["grey"]}}',
        '{"where": {"field": "brand", "in": ["\\ud800"]}}',
        '{"where": {"field": "brand", "like": ["\\ud800*"]}}',
        '{"where": {"field": "brand", "<": "\\udfff"}}',
        '{"where": {"field": "brand", "in": [NaN]}}',
        '{"where": {"field": "price", "<": NaN}}',
        '{"where": {"field": "price", "<": 1e999}}',
        '{"where": {"field": "price", "in": [[], {}]}}',
        '{"where": {"field": "price", "<": ' + "9" * 4_000 + "}}",
        '{"where": {"field": "price", "<": ' + "9" * 10_000 + "}}",
        '{"where": "upper=grey", "limit": ' + "9" * 4_000 + "}",
        '{"where": "upper=grey", "limit": 1e999}',
        '{"where": "upper=grey", "limit": NaN}',
        '{"where": "upper=grey", "limit": 0.5}',
        '{"where": "upper=grey", "min_score": NaN}',
        '{"like": [1], "min_score": 1e999}',
        '{"like": [1], "weight": NaN}',
        '{"like": [' + "9" * 30 + "]}",
        '{"like": [-1]}',
        '{"like": [9223372036854775807]}',
        '{"like": [9223372036854775808]}',
        '{"like": [1], "crop": [NaN, 0, 1, 1]}',
        '{"pictures": ["' + "A" * 22 + '"], "crop": [0, 0, 1e999, 1]}',
        '{"pictures": ["\\u0000"]}',
        '{"where": "upper=grey", "\\ud800": 1}',
        '{"where": "upper=grey", "' + "x" * 900_000 + '": 1}',
        '{"where": "upper=grey", "sort": "\\ud800"}',
        '{"where": "upper=grey", "sort": "\\u0000"}',
        '{"where": "upper=grey", "cursor": "\\ud800"}',
        '{"where": "upper=grey", "cursor": "' + "A" * 200 + '"}',
        '{"where": "upper=grey", "group_by": "\\u202e\\u0000"}',
        '{"where": "upper=grey", "facets": ["\\u0000"]}',
        '{"urls": ["\\ud800"]}',
        b'{"where": "upper=\xff\xfe"}',
        b"\xff\xfe\x00\x00",
        b"\x00" * 1000,
        "null",
        "0",
        '""',
        "",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_hostile_search_is_a_problem(shop: TestClient, body: bytes | str) -> None:
    answer = post(shop, body)
    assert 400 <= answer.status_code < 500
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "query", ['{"where": "\\ud800"}', "[" * 100_000, "NaN", "\x00", '{"weight": NaN}', "{" * 10]
)
def test_a_hostile_query_beside_an_upload_is_a_problem(client: TestClient, query: str) -> None:
    answer = client.post(f"{SEARCH}/upload", files={"image": b"x"}, data={"query": query})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", "\x00", "application/json;"])
def test_a_body_of_another_kind(client: TestClient, kind: str) -> None:
    answer = client.post(SEARCH, content=b'{"where": "upper=grey"', headers={"content-type": kind})
    assert answer.status_code in {400, 415, 422}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.sampled_from(
        ["upper", "lower", "grey", "upper=grey", "price<1", "price", "brand", "Lynx", "A" * 22]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["attr", "in", "at_least", "field", "and", "or", "not", "<", "like"])
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
        | st.fixed_dictionaries(
            {"field": st.sampled_from(["brand", "price"]), "in": st.lists(inner)}
        )
        | st.fixed_dictionaries(
            {"attr": st.just("upper"), "in": st.just(["grey"]), "at_least": inner}
        )
    ),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        *("pictures", "urls", "like", "unlike", "where", "limit", "crop", "weight", "min_score"),
        *("sort", "cursor", "dedup", "group_by", "facets", "facets_at_least", "explain"),
    ]
)
BODIES = (
    st.dictionaries(NAMES | st.text(max_size=5), VALUES, max_size=6).map(json.dumps)
    | VALUES.map(json.dumps)
    | st.text(max_size=50)
    | st.binary(max_size=50)
)


@settings(
    max_examples=1_000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=BODIES)
def test_no_body_makes_the_search_fail(shop: TestClient, body: bytes | str) -> None:
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    answer = post(shop, data)
    assert answer.status_code < 500
    answer.json()
