"""Both clients change a catalogue by jobs, and wait for them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetag_model.drawn import write_catalogue
from finetag_model.errors import UsageError
from retrieval.client import JobError, NotFound, ServiceError
from tests.clients import Scripted, answers, hangs_up
from tests.services import Example, serving

ID = "AAAAAAAAAAAAAAAAAAAAAA"
QUEUED: dict[str, Any] = {
    "id": ID,
    "kind": "update",
    "state": "queued",
    "created": "2026-01-01T00:00:00Z",
    "started": None,
    "ended": None,
    "phase": "",
    "done": 0,
    "total": None,
    "rate": None,
    "result": None,
    "problem": None,
    "generation": None,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with serving(tmp_path_factory.mktemp("jobs")) as example:
        yield example


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("others")
    write_catalogue(folder, count=4, seed=9)
    return sorted(folder.glob("*.jpg"))


def told(state: str, **changed: Any) -> Callable[..., None]:
    return answers(200, json.dumps({**QUEUED, "state": state, **changed}))


def test_a_catalogue_is_changed(
    served: Example, others: list[Path], connect: Callable[..., Any], tmp_path: Path
) -> None:
    client = connect(served.address)
    before = client.catalog().images
    seen: list[str] = []
    job = client.add([*others[:2], others[2].read_bytes()], [{"price": 12.5}, None, {"price": 3}])
    job = client.wait(job, on_progress=lambda each: seen.append(each.state))
    assert seen[-1] == "done"
    added = [image.id for image in job.result.images]
    assert None not in added
    assert client.search(where="price<50").total == 2
    assert client.image(added[0]).fields == {"price": 12.5}

    table = tmp_path / "prices.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "price"), (added[1], 99)])
    job = client.wait(client.import_fields(table))
    assert job.result.images == 1
    assert client.wait(client.update().id).result.images == before + 3

    job = client.wait(client.delete(added))
    assert client.catalog().generation >= job.generation
    assert (job.result.deleted, job.result.left) == (3, before)
    with pytest.raises(NotFound):
        client.image(added[0])
    assert [each.kind for each in client.jobs(limit=4)] == ["delete", "update", "fields", "add"]
    assert client.cancel(job).state == "done"
    with pytest.raises(NotFound, match="no such job"):
        client.job(ID)
    with pytest.raises(ServiceError, match="no image can be read"):
        client.add([b"<html>"])


def test_a_change_is_sent_again_as_the_same_change(
    scripted: Callable[..., Scripted], connect: Callable[..., Any]
) -> None:
    server = scripted(hangs_up, answers(503), told("queued"))
    client = connect(server.address)
    assert client.add([b"image"]).id == ID
    assert len({each["idempotency-key"] for each in server.headers}) == 1
    assert client.add([b"image"]).id == ID
    assert len({each["idempotency-key"] for each in server.headers}) == 2
    assert client.delete(7).id == ID
    assert json.loads(server.bodies[-1]) == {"ids": [7]}
    assert server.headers[-1]["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("state", "problem", "message"),
    [
        ("failed", "the disk is full", r"\(update\) failed: the disk is full$"),
        ("cancelled", None, r"\(update\) was cancelled$"),
    ],
)
def test_a_job_that_ends_otherwise(
    scripted: Callable[..., Scripted],
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    problem: str | None,
    message: str,
) -> None:
    monkeypatch.setattr("retrieval.client.job_calls.FIRST_WAIT", 0.01)
    server = scripted(told("queued"), told("running", done=3), told(state, problem=problem))
    seen: list[tuple[str, int]] = []
    client = connect(server.address)
    with pytest.raises(JobError, match=message) as caught:
        client.wait(ID, on_progress=lambda job: seen.append((job.state, job.done)))
    assert seen == [("queued", 0), ("running", 3), (state, 0)]
    assert caught.value.job.state == state


def test_a_job_that_takes_too_long(
    scripted: Callable[..., Scripted], connect: Callable[..., Any]
) -> None:
    server = scripted(told("running"))
    with pytest.raises(JobError, match="has not ended in time; it goes on") as caught:
        connect(server.address).wait(ID, timeout=0.3)
    assert caught.value.job.state == "running"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda client: client.add([]), "0 images cannot be added in one call"),
        (lambda client: client.add([b"x"] * 1001), "1,001 images cannot be added"),
        (lambda client: client.add("bird.jpg"), "put the one in brackets"),
        (lambda client: client.add([b"x"], [{}, {}]), "fields for 2 images, not for 1"),
        (lambda client: client.add([b"x"], [{"price": object()}]), r"fields\.0\.price"),
        (lambda client: client.delete([]), "ids: Tuple should have at least 1 item"),
        (lambda client: client.delete([-1]), "ids: Input should be greater than"),
        (lambda client: client.import_fields(b"a,b"), "say what the table is: kind= one of csv"),
        (lambda client: client.job("../../other"), "is no id of a job"),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    connect: Callable[..., Any], change: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        change(connect("http://127.0.0.1:1"))
