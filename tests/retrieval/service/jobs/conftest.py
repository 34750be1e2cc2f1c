"""A service over a catalogue of its own that jobs may change, done by threads of this process.

The true process, which loads its network itself, has its tests in `test_jobs_process`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexer import Index, build
from retrieval.service import job_runner
from retrieval.service.app import create
from retrieval.service.settings import Settings
from tests.conftest import ColorEmbedder

SHOP = "/v1/catalogs/shop"
ENDED = {"done", "failed", "cancelled"}


class SlowEmbedder(ColorEmbedder):
    """The colour model, which can be held up before a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.reached = threading.Event()

    def embed(self, pixels: Any) -> Any:
        self.reached.set()
        assert self.may_go_on.wait(60)
        return super().embed(pixels)


class Lost(BaseException):
    """Raised in a runner, it ends as a process does that is killed."""


class ThreadRunner(threading.Thread):
    """Stands where `subprocess.Popen` does."""

    def __init__(self, settings: Settings, catalog: str, embedder: Any) -> None:
        super().__init__(daemon=True)
        self._told, self._stop_asked = (settings, catalog, lambda: embedder), threading.Event()
        self.returncode: int | None = None
        self.start()

    def run(self) -> None:
        with suppress(Lost):
            job_runner.run(*self._told, self._stop_asked.is_set)
            self.returncode = 0
            return
        self.returncode = 1

    def poll(self) -> int | None:
        return None if self.is_alive() else self.returncode

    def terminate(self) -> None:
        self._stop_asked.set()

    def wait(self, timeout: float | None = None) -> None:
        self.join(timeout)
        assert not self.is_alive()


@dataclass
class Shop:
    """A client of the service, and what is behind it."""

    client: TestClient
    root: Path
    index_dir: Path
    state: Path

    def post(self, path: str, **sent: Any) -> Any:
        answer = self.client.post(f"{SHOP}{path}", **sent)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"{SHOP}/jobs/{answer.json()['id']}"
        return answer.json()

    def add(self, *images: bytes, **sent: Any) -> Any:
        return self.post("/images", files=[("image", ("x", each)) for each in images], **sent)

    def job(self, job: Any) -> Any:
        return self.client.get(f"{SHOP}/jobs/{job['id']}").json()

    def until(self, job: Any, true: Callable[[Any], bool]) -> Any:
        give_up = time.monotonic() + 60
        while not true(found := self.job(job)):
            assert time.monotonic() < give_up, found
            time.sleep(0.02)
        return found

    def ended(self, job: Any, state: str = "done") -> Any:
        found = self.until(job, lambda job: job["state"] in ENDED)
        assert found["state"] == state, found
        assert found["ended"]
        self.until(job, lambda _: not (self.state / "jobs" / job["id"]).exists())
        return found

    def shown(self, job: Any) -> Any:
        """Wait until a job is done, and searches show it."""
        ended = self.ended(job)
        self.until(job, lambda job: self.client.get(SHOP).json()["generation"] >= job["generation"])
        return ended

    def names(self) -> dict[int, str]:
        """Return the paths of the index by id."""
        with Index.open(self.index_dir) as index:
            return {each.id: each.path for each in index.images(range(index.rows))}

    def uploaded(self) -> list[str]:
        found = (self.root / "uploaded").rglob("*.*")
        return sorted(path.relative_to(self.root).as_posix() for path in found)


@pytest.fixture
def picture(tmp_path: Path, paint: Callable[..., Path]) -> Callable[..., bytes]:
    """Return the bytes of a picture with two colours, a different one for each size."""

    def painted(upper: str, lower: str, side: int = 32, suffix: str = "png") -> bytes:
        return paint(tmp_path / f"painted.{suffix}", upper, lower, (side, side)).read_bytes()

    return painted


@pytest.fixture
def embedder() -> SlowEmbedder:
    return SlowEmbedder()


@pytest.fixture
def open_shop(
    tmp_path: Path,
    paint: Callable[..., Path],
    embedder: SlowEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Shop]]:
    """Start a service over three images; again: another one over the same."""
    monkeypatch.setattr("retrieval.service.service.load_embedder", lambda *_: ColorEmbedder())
    monkeypatch.setattr(
        "retrieval.service.runners.spawn",
        lambda settings, catalog: ThreadRunner(settings, catalog, embedder),
    )
    root, index_dir, state = (tmp_path / name for name in ("catalogue", "index", "state"))
    for upper in ("red", "green", "blue"):
        paint(root / f"{upper}.png", upper, "white")
    build(root, index_dir, ColorEmbedder())
    with ExitStack() as stack:

        def opened(**changed: Any) -> Shop:
            settings = Settings(**{"catalogs": {"shop": index_dir}, "state": state, **changed})
            client = TestClient(
                create(settings), base_url="http://127.0.0.1", raise_server_exceptions=False
            )
            return Shop(stack.enter_context(client), root, index_dir, state)

        yield opened
        embedder.may_go_on.set()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    return open_shop()
