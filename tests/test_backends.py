"""Every backend of docs/backends.md runs as it stands, and answers with what was searched for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import httpx2
import pytest

from retrieval.client import Client
from tests.pages import ROOT
from tests.services import ADDRESS, Example, free_port, running, serving

PAGE = ROOT / "docs" / "backends.md"
EXAMPLES = re.findall(
    r"^## ([^\n]+)\n[^#]*?```python\n(.+?)```\n\n```console\n\$ (.+?)\n```",
    PAGE.read_text(),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with serving(tmp_path_factory.mktemp("backends")) as example:
        yield example


def test_there_are_two_ways_for_each_framework() -> None:
    assert [title for title, _, _ in EXAMPLES] == [
        f"{framework}, the {way}"
        for framework in ("Flask", "Django", "FastAPI")
        for way in ("library", "client")
    ]


@pytest.mark.parametrize(("title", "code", "line"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_a_backend_searches(title: str, code: str, line: str, served: Example) -> None:
    framework = title.partition(",")[0].lower()
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    port = free_port()
    (served.folder / "shop.py").write_text(code.replace(ADDRESS, served.address))
    image = (served.folder / "query.jpg").read_bytes()
    where = ["size=small,very_small", "NOT wing_color=blue"]

    def ask(data: dict[str, Any]) -> httpx2.Response:
        address = f"http://127.0.0.1:{port}/search"
        return httpx2.post(address, files={"image": image}, data=data, timeout=60)

    with running(line.replace("8001", str(port)), served.folder, port):
        answer = ask({"where": where})
        wrong = ask({"where": ["sice=small"]})
    with Client(served.address) as client:
        expected = client.search(image, where=where, limit=10).hits
    assert expected
    assert [hit["id"] for hit in answer.json()["hits"]] == [hit.id for hit in expected]
    assert wrong.status_code == 400
    assert "nearest: size" in wrong.text
