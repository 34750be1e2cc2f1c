"""docs/service.md runs as it stands against a service, and names all of its routes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.pages import ROOT, blocks, commands, run, run_well
from tests.services import ADDRESS, Example, serving

PAGE = ROOT / "docs" / "service.md"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with serving(tmp_path_factory.mktemp("service")) as example:
        yield example


def test_every_command_runs(served: Example) -> None:
    lines = commands(PAGE, {ADDRESS: served.address})
    assert len(lines) > 5
    for line in lines:
        run_well(line, served.folder)


@pytest.mark.parametrize("number", range(len(blocks(PAGE, "python"))))
def test_every_example_runs(served: Example, number: int) -> None:
    example = blocks(PAGE, "python")[number].replace(ADDRESS, served.address)
    result = run(f"python - <<'END'\n{example}\nEND", served.folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_every_route_is_told_of(served: Example) -> None:
    described = json.loads(run_well(f"curl -sS {served.address}/openapi.json", served.folder))
    page = PAGE.read_text()
    for route in described["paths"]:
        assert f"{route.replace('{catalog}', '{c}').replace('{image}', '{id}')}`" in page, route
