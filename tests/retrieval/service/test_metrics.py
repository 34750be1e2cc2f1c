"""What Prometheus reads, also of several worker processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from finetag_model.embedder import load_embedder
from indexer import build
from retrieval.service.counting import counting_together
from retrieval.service.keys import Keys
from retrieval.service.store import open_store
from tests.retrieval.service.conftest import StartService

SEARCH = "/v1/catalogs/shop/search"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Counts:
    """How metrics differ from what they were; they are of the process, not of one service."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._before = samples(client.get("/metrics").text)

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return samples(self._client.get("/metrics").text).get(key, 0) - self._before.get(key, 0)


@pytest.fixture
def counts(client: TestClient) -> Counts:
    return Counts(client)


def test_requests_by_template(client: TestClient, counts: Counts) -> None:
    for image in (1, 2, 3):
        client.get(f"/v1/catalogs/shop/images/{image}")
    client.get("/v1/catalogs/nowhere/images/1")
    route = "/v1/catalogs/{catalog}/images/{image}"
    assert counts("finetag_requests_total", route=route, method="GET", status="200") == 3
    assert counts("finetag_requests_total", route=route, method="GET", status="404") == 1
    assert counts("finetag_request_seconds_count", route=route) == 4
    assert counts("finetag_request_seconds_bucket", route=route, le="30.0") == 4


def test_clients_make_up_no_labels(client: TestClient, counts: Counts) -> None:
    def make_up(i: int) -> set[object]:
        client.get(f"/made/up/{i}")
        client.request(f"MADE{i}", "/v1/catalogs")
        client.get(f"/v1/catalogs/made-up-{i}")
        client.get("/metrics")
        return set(samples(client.get("/metrics").text))

    first = make_up(0)
    for i in range(1, 50):
        last = make_up(i)
    assert last == first
    assert "made" not in str(last).lower()
    assert counts("finetag_requests_total", route="other", method="GET", status="404") == 50


def test_searches_embeddings_and_pictures(client: TestClient, counts: Counts, root: Path) -> None:
    picture = (root / "red" / "red_blue.png").read_bytes()
    client.post(f"{SEARCH}/upload", files={"image": picture})
    client.post(f"{SEARCH}/upload", files={"image": b"no picture"})
    client.post("/v1/catalogs/shop/pictures", files={"image": picture})
    assert counts("finetag_search_stage_seconds_count", stage="search") == 1
    assert counts("finetag_embedder_run_images_count") == 1
    assert counts("finetag_embedder_run_images_sum") == 1
    assert counts("finetag_decode_failures_total", reason="unreadable") == 1
    now = samples(client.get("/metrics").text)
    assert now["finetag_pictures_bytes", (("catalog", "shop"),)] == len(picture)


def test_catalogues(client: TestClient, root: Path) -> None:
    now = samples(client.get("/metrics").text)
    label = (("catalog", "shop"),)
    assert now["finetag_catalog_images", label] == len(list(root.rglob("*.png")))
    assert now["finetag_catalog_generation", label] == 1
    assert now["finetag_catalog_problem", label] == 0


def test_a_catalogue_with_a_problem(start: StartService, tmp_path: Path) -> None:
    client = start(catalogs={"gone": tmp_path / "nowhere"})
    now = samples(client.get("/metrics").text)
    assert now["finetag_catalog_problem", (("catalog", "gone"),)] == 1


def test_with_keys_not_everybody_reads_them(start: StartService, tmp_path: Path) -> None:
    client = start(keys=True)
    keys = Keys(open_store(tmp_path / "state"))
    every, one = keys.create("read"), keys.create("read", catalogs=("shop",))
    for token, status in ((None, 401), (every, 200), (one, 403)):
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == status


# Several worker processes


@pytest.fixture
def workers(root: Path, shared: Path, tmp_path: Path) -> Iterator[str]:
    """Start two real worker processes, with the shipped model; return their address."""
    index = shared / "index-shipped"
    if not index.exists():
        build(root / "red", index, load_embedder(None, "onnx"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-c", "from retrieval.service.cli import main; main()"),
        *("--catalog", f"shop={index}", "--state", str(tmp_path / "state")),
        *("--port", str(port), "--workers", "2", "--log-format", "json"),
    ]
    with (tmp_path / "log").open("wb") as log:
        parent = subprocess.Popen(command, stderr=log, env=_environment())
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(lambda: get(address, "/readyz"), parent)
        yield address
    finally:
        parent.send_signal(signal.SIGTERM)
        parent.wait(timeout=30)


def _environment() -> dict[str, str]:
    changed = {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONUNBUFFERED": "1"}
    kept = {name: value for name, value in os.environ.items() if name != "FINETAG_DATABASE"}
    return {**kept, **changed}


def _wait(is_so: Callable[[], Any], parent: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert parent is None or parent.poll() is None, "the service did not start"
        try:
            if is_so():
                return
        except (URLError, ConnectionError):
            pass
        time.sleep(0.1)
    pytest.fail("it did not come about")


def get(address: str, path: str, body: bytes | None = None) -> str:
    return get_bytes(address, path, body).decode()


def get_bytes(address: str, path: str, body: bytes | None = None) -> bytes:
    request = Request(address + path, body, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


def test_two_worker_processes_count_together(workers: str, tmp_path: Path) -> None:
    log = tmp_path / "log"

    folder = next((tmp_path / "state").glob("metrics-*"))

    def pids(kind: str) -> set[int]:
        return {int(path.stem.rpartition("_")[2]) for path in folder.glob(f"{kind}_*.db")}

    def opened() -> int:
        return log.read_text().count("catalogue opened")

    def requests() -> float:
        now = samples(get(workers, "/metrics"))
        labels = (("method", "POST"), ("route", "/v1/catalogs/{catalog}/search"), ("status", "200"))
        return now["finetag_requests_total", labels]

    _wait(lambda: opened() == 2)
    for _ in range(30):
        get(workers, SEARCH, b'{"where": "wing_color=grey"}')
    assert {requests() for _ in range(10)} == {30}  # whichever process is asked
    before = pids("gauge_livesum")
    assert len(before) == 2
    for side in (200, 400, 800, 1600):  # processes that decode do not count
        get_bytes(workers, f"/v1/catalogs/shop/images/1/thumbnail?side={side}")
    assert pids("*") == before

    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    _wait(lambda: opened() == 3)
    assert requests() == 30  # what it counted stays
    now = samples(get(workers, "/metrics"))
    assert now["finetag_requests_in_flight", ()] == 1  # of this very request alone
    assert now["finetag_catalog_problem", (("catalog", "shop"),)] == 0
    assert not list(folder.glob(f"gauge_live*_{killed}.db"))
    _, *lines = log.read_text().splitlines()  # after what the command itself says
    for line in lines:
        assert json.loads(line)["event"]


def test_the_folder_of_counts_is_fresh_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "another")
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True
    )
    left = tmp_path / f"metrics-{int(done.stdout)}"
    left.mkdir()
    other = tmp_path / f"metrics-{os.getppid()}"
    other.mkdir()
    with counting_together(tmp_path):
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.parent == tmp_path
        assert list(folder.iterdir()) == []
        assert not left.exists()
    assert not folder.exists()
    assert other.exists()
