"""One line an event, which nobody can forge and no secret is in."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from retrieval.service.logs import JsonFormatter, TextFormatter, log_config
from tests.retrieval.service.conftest import StartService

SEARCH = "/v1/catalogs/shop/search"


class Lines(io.StringIO):
    """What was logged."""

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [each for each in self.objects() if each["event"] == "request"]


def caught(formatter: logging.Formatter) -> Iterator[Lines]:
    lines = Lines()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter)
    logger = logging.getLogger("finetag")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def lines() -> Iterator[Lines]:
    yield from caught(JsonFormatter())


@pytest.fixture
def text_lines() -> Iterator[Lines]:
    yield from caught(TextFormatter())


def test_a_request_is_one_line(client: TestClient, lines: Lines) -> None:
    answer = client.post(
        f"{SEARCH}?token=hunter2", json={"where": "upper=grey"}, headers={"x-request-id": "a-b_c.9"}
    )
    assert answer.headers["x-request-id"] == "a-b_c.9"
    (line,) = lines.requests()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line.pop("ms") > 0
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": "a-b_c.9",
        "method": "POST",
        "route": "/v1/catalogs/{catalog}/search",
        "path": SEARCH,
        "status": 200,
        "bytes_in": len(b'{"where":"upper=grey"}'),
        "bytes_out": len(answer.content),
        "client": "testclient",
        "key_id": None,
        "catalog": "shop",
        "generation": answer.json()["generation"],
    }


@pytest.mark.parametrize("given", ["", "a b", "a\tb", "x" * 65, "ü", "<script>", "a;b", "a\x0bb"])
def test_an_id_that_is_none_is_made(client: TestClient, lines: Lines, given: str) -> None:
    answer = client.get("/healthz", headers={"x-request-id": given.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
    assert lines.requests()[0]["request_id"] == answer.headers["x-request-id"]


def test_nobody_forges_a_line(client: TestClient, lines: Lines, text_lines: Lines) -> None:
    forged = '\n{"event": "forged"}\r\u2028\x1b[2J\x85'
    client.get(f"/v1/catalogs/{quote(forged)}")
    assert len(lines.getvalue().splitlines()) == 1
    assert lines.getvalue().isascii()
    assert "forged" in lines.requests()[0]["path"]
    (line,) = text_lines.getvalue().splitlines()
    assert line.isprintable()


def test_no_secret_is_logged(start: StartService, lines: Lines, root: Path) -> None:
    client = start(limits={"pixels": 10})
    secrets = {
        "authorization": "Bearer hunter2",
        "cookie": "session=hunter2",
        "x-api-key": "hunter2",
    }
    url = "http://pictures.example/?signature=hunter2"
    for body in ({"urls": [url]}, {"key": "hunter2"}, {"where": "hunter2=1"}):
        client.post(f"{SEARCH}?key=hunter2", json=body, headers=secrets)
    picture = (root / "red" / "red_blue.png").read_bytes()
    client.post(f"{SEARCH}/upload?key=hunter2", files={"image": picture}, headers=secrets)
    assert len(lines.requests()) == 4
    assert "hunter2" not in lines.getvalue()


def test_who_reads_logs_cannot_see_kept_pictures(
    client: TestClient, lines: Lines, root: Path
) -> None:
    picture = (root / "red" / "red_blue.png").read_bytes()
    kept = client.post("/v1/catalogs/shop/pictures", files={"image": picture}).json()
    path = f"/v1/catalogs/shop/pictures/{kept['token']}/thumbnail"
    assert client.get(path).status_code == 200
    assert kept["token"] not in lines.getvalue()
    assert lines.requests()[-1]["path"] == "/v1/catalogs/shop/pictures/…/thumbnail"


def test_a_failure_has_its_traceback_in_one_field(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr("retrieval.catalog.Catalog.search", fail)
    answer = client.post(SEARCH, json={"where": "upper=grey"})
    failure, request = lines.objects()
    assert failure["event"] == "unexpected error"
    assert failure["level"] == "error"
    assert failure["traceback"].startswith("Traceback (most recent call last):\n")
    assert failure["traceback"].endswith("RuntimeError: first\nsecond\n")
    assert request["status"] == 500
    assert {failure["request_id"], request["request_id"]} == {answer.json()["request_id"]}


def test_what_a_thread_logs_is_of_its_request(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log(*_: object, **__: object) -> None:
        logging.getLogger("finetag.anything").info("in a thread")

    monkeypatch.setattr("retrieval.catalog.Catalog.search", log)
    client.post(SEARCH, json={"where": "upper=grey"}, headers={"x-request-id": "mine"})
    assert lines.objects()[0]["event"] == "in a thread"
    assert lines.objects()[0]["request_id"] == "mine"


@pytest.mark.parametrize("form", ["json", "text"])
def test_all_loggers_write_the_same_way(
    form: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("finetag.serve", "uvicorn.error", "asyncio", "")
    for name in names:
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    config = log_config(form)
    config["loggers"]["uvicorn.error"] = {"level": "INFO"}
    level = logging.getLogger().level
    logging.config.dictConfig(config)
    for name in names:
        logging.getLogger(name).warning("event of %r", name)
    lines = capsys.readouterr().err.splitlines()
    logging.getLogger().setLevel(level)
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        if form == "json":
            assert json.loads(line)["event"] == f"event of {name!r}"
        else:
            assert line.endswith(f"warning  event of {name!r}")
