"""Jobs that are cancelled, held up, interrupted, or cannot be kept."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from indexer.lock import writer_lock
from retrieval.service import job_runner
from retrieval.service.job_files import discard_abandoned, keep, lock_of, locked
from retrieval.service.job_queue import KEPT_SECONDS, Queue, job
from retrieval.service.store import changing, open_store
from tests.indexer.full_disk import no_file_larger_than
from tests.retrieval.service.jobs.conftest import SHOP, Lost, Shop, SlowEmbedder, ThreadRunner

Picture = Callable[..., bytes]


def cancel(shop: Shop, made: Any) -> Any:
    answer = shop.client.delete(f"{SHOP}/jobs/{made['id']}")
    assert answer.status_code == 200
    return answer.json()


def staged(shop: Shop) -> list[Path]:
    return [path for path in (shop.state / "jobs").iterdir() if path.is_dir()]


def test_a_queued_job_is_cancelled_at_once(
    shop: Shop, embedder: SlowEmbedder, picture: Picture
) -> None:
    embedder.may_go_on.clear()
    first, second = shop.add(picture("grey", "red")), shop.add(picture("grey", "blue"))
    shop.until(first, lambda job: job["state"] == "running")
    assert cancel(shop, second)["state"] == "cancelled"
    embedder.may_go_on.set()
    shop.ended(first)
    assert shop.job(second)["state"] == "cancelled"
    assert len(shop.uploaded()) == 1
    assert staged(shop) == []
    assert cancel(shop, first)["state"] == "done"


def test_a_running_job_is_cancelled_and_leaves_nothing(
    shop: Shop, embedder: SlowEmbedder, picture: Picture
) -> None:
    embedder.may_go_on.clear()
    made = shop.add(*(picture("grey", "red", side) for side in range(10, 50)))
    assert embedder.reached.wait(30)
    assert cancel(shop, made)["state"] == "running"
    time.sleep(0.6)  # so that the next look at the queue is due
    embedder.may_go_on.set()
    ended = shop.ended(made, "cancelled")
    assert ended["result"] is None
    assert len(shop.names()) == 3
    assert shop.uploaded() == []
    assert staged(shop) == []
    shop.ended(shop.post("/update"))
    assert len(shop.names()) == 3


def test_another_command_is_waited_for(shop: Shop, picture: Picture) -> None:
    with writer_lock(shop.index_dir):
        made = shop.add(picture("grey", "red"))
        waiting = shop.until(made, lambda job: job["phase"] == job_runner.WAITING)
        assert waiting["state"] == "queued"
        other = shop.post("/update")
        assert cancel(shop, other)["state"] == "cancelled"
    shop.ended(made)


def test_but_not_for_ever(shop: Shop, picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_runner, "WAIT_SECONDS", 0.1)
    with writer_lock(shop.index_dir):
        ended = shop.ended(shop.add(picture("grey", "red")), "failed")
    assert ended["problem"] == (
        "another command is changing the index shop; "
        "wait until it has finished, and run this one again"
    )
    assert shop.uploaded() == []


def test_a_service_that_ends_leaves_the_rest_for_the_next(
    open_shop: Callable[..., Shop], embedder: SlowEmbedder, picture: Picture
) -> None:
    first = open_shop()
    embedder.may_go_on.clear()
    made = first.add(*(picture("grey", "red", side) for side in range(10, 50)))
    assert embedder.reached.wait(30)
    service = first.client.app.state.service  # type: ignore[attr-defined]
    (runner,) = service.runners._processes.values()
    runner.terminate()
    embedder.may_go_on.set()
    runner.wait(30)
    second = open_shop()
    ended = second.ended(made)
    assert ended["result"]["new"] == 40
    assert ended["result"]["embedded"] < 40  # what was done before was kept


def test_a_job_that_comes_as_the_process_ends_is_begun_when_it_has(
    shop: Shop, embedder: SlowEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, may_end, begun = threading.Event(), threading.Event(), []

    class Lingering(ThreadRunner):
        def run(self) -> None:
            begun.append(self)
            super().run()  # it has looked for jobs for the last time
            looked.set()
            assert may_end.wait(60)

    monkeypatch.setattr(
        "retrieval.service.runners.spawn",
        lambda settings, catalog: Lingering(settings, catalog, embedder),
    )
    # Nothing but the end of the process makes the service look.
    monkeypatch.setattr("retrieval.service.runners.LOOK_SECONDS", 1000.0)
    monkeypatch.setattr("retrieval.service.runners.PATIENCE_SECONDS", 1000.0)
    shop.ended(shop.post("/update"))
    assert looked.wait(60)
    late = shop.post("/update")
    time.sleep(0.2)  # for the service to find that a process is there
    assert shop.job(late)["state"] == "queued"
    may_end.set()
    shop.ended(late)
    assert len(begun) == 2


def test_two_services_share_the_jobs(open_shop: Callable[..., Shop], picture: Picture) -> None:
    shops = [open_shop(), open_shop()]
    made = [shops[i % 2].add(picture("grey", "red", 20 + i)) for i in range(6)]
    ended = [shops[(i + 1) % 2].ended(each) for i, each in enumerate(made)]
    assert [each["generation"] for each in ended] == [2, 3, 4, 5, 6, 7]
    assert len(shops[0].names()) == 9


def test_a_job_is_of_an_index_and_not_of_whatever_has_its_name(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    ours, theirs = (Queue(store, {"shop": tmp_path / name}) for name in ("shoes", "bags"))
    made = ours.put("shop", "update", "A" * 22, {}, "once")
    assert theirs.catalogs() == set()
    assert theirs.take("shop") is None
    assert theirs.get("shop", made.id) is None
    assert theirs.known("shop", "once") is None
    assert ours.catalogs() == {"shop"}
    task = ours.take("shop")
    assert task is not None
    assert task.id == made.id


def test_what_a_lost_process_was_at_is_begun_again_but_not_for_ever(
    open_shop: Callable[..., Shop], picture: Picture
) -> None:
    shop = open_shop()
    queue = Queue(open_store(shop.state), {"shop": shop.index_dir})
    with locked(lock_of(shop.state, "shop")) as held:  # so that no process begins
        assert held
        made = shop.add(picture("grey", "red"))
        for _ in range(job_runner.MOST_LOST):
            assert queue.take("shop")
            queue.recover("shop")
        assert shop.job(made)["state"] == "queued"
        assert queue.take("shop")
    ended = shop.ended(made, "failed")
    assert ended["problem"] == "the process that worked on it was lost 4 times"


def test_a_job_that_is_begun_again_deletes_the_same_images(
    shop: Shop, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = shop.ended(shop.add(picture("grey", "red")))["result"]["images"][0]["id"]
    done = job_runner.do
    times = []

    def lost_after_it(*arguments: Any) -> Any:
        times.append(1)
        result = done(*arguments)
        if len(times) == 1:
            raise Lost
        return result

    monkeypatch.setattr(job_runner, "do", lost_after_it)
    made = shop.post("/images/delete", json={"ids": [image]})
    monkeypatch.setattr("retrieval.service.runners._FAILED_SECONDS", 0.0)
    ended = shop.ended(made)
    assert len(times) == 2
    assert ended["result"] == {"kind": "delete", "deleted": 1, "left": 3, "unknown": []}


@pytest.mark.parametrize("side", [3000, 300])  # on the way to the service, and in it
def test_a_full_disk_is_told_and_leaves_nothing(shop: Shop, picture: Picture, side: int) -> None:
    (shop.state / "jobs").mkdir()
    large = picture("grey", "red", side, "bmp")
    with no_file_larger_than(200_000):
        answer = shop.client.post(f"{SHOP}/images", files={"image": large})
    assert answer.status_code == 507
    assert answer.json()["detail"] == "the disk of the service is full"
    assert shop.client.get(f"{SHOP}/jobs").json() == []
    assert staged(shop) == []


def test_a_state_folder_that_cannot_be_used_is_told(shop: Shop, picture: Picture) -> None:
    (shop.state / "jobs").touch()
    answer = shop.client.post(f"{SHOP}/images", files={"image": picture("grey", "red")})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("the service cannot use its disk: ")
    assert str(shop.state) not in answer.text
    (shop.state / "jobs").unlink()
    shop.ended(shop.add(picture("grey", "red")))


def test_a_full_catalogue_folder_fails_the_job(
    shop: Shop, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = job_runner.do

    def full(*arguments: Any) -> Any:
        with no_file_larger_than(1 << 10):
            return done(*arguments)

    monkeypatch.setattr(job_runner, "do", full)
    ended = shop.ended(shop.add(picture("grey", "red", 100, "bmp")), "failed")
    assert ended["problem"] == "the catalogue folder cannot be written: file too large"
    assert shop.uploaded() == []
    assert list((shop.root / "uploaded").rglob(".*")) == []


def test_a_failure_tells_no_path(
    shop: Shop, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop.index_dir / "index.json").write_text("damaged")
    ended = shop.ended(shop.add(picture("grey", "red")), "failed")
    assert ended["problem"].startswith("the index shop is damaged")
    assert str(shop.root.parent) not in ended["problem"]


def test_a_bug_is_told_in_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bug(*_: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(job_runner, "do", bug)
    ended = shop.ended(shop.post("/update"), "failed")
    assert ended["problem"] == "something unexpected went wrong; the service's log has it"
    assert "KeyError" in caplog.text


def test_old_jobs_and_abandoned_files_are_forgotten(shop: Shop) -> None:
    made = shop.ended(shop.post("/update"))
    with changing(open_store(shop.state)) as connection:
        connection.execute(update(job).values(ended=time.time() - KEPT_SECONDS - 1))
    for name in ("old", "new"):
        keep(shop.state / "jobs" / name / "x", b"x")
    os.utime(shop.state / "jobs" / "old", (0, 0))
    shop.ended(shop.post("/update"))
    assert shop.client.get(f"{SHOP}/jobs/{made['id']}").status_code == 404
    assert [path.name for path in staged(shop)] == ["new"]
    discard_abandoned(shop.state, {"new"})


def test_the_state_is_its_owners_alone(shop: Shop) -> None:
    assert shop.state.stat().st_mode & 0o777 == 0o700
    files = [path for path in shop.state.iterdir() if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
