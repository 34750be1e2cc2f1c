"""Each kind of job, from the request to what searches then find."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.retrieval.service.jobs.conftest import SHOP, Shop, SlowEmbedder

Picture = Callable[..., bytes]


def search(shop: Shop, **asked: Any) -> list[Any]:
    answer = shop.client.post(f"{SHOP}/search", json=asked)
    hits: list[Any] = answer.json()["hits"]
    return hits


def test_images_are_added_with_their_fields(shop: Shop, picture: Picture) -> None:
    sent = [picture("grey", "grey"), picture("white", "red", suffix="jpg")]
    fields = [{"price": 12.5, "brand": "Corvid", "colors": ["a", "b"]}, None]
    job = shop.shown(shop.add(*sent, data={"fields": json.dumps(fields)}))
    assert job["kind"] == "add"
    images = job["result"]["images"]
    assert [each["index"] for each in images] == [0, 1]
    assert job["result"]["new"] == 2
    names = shop.names()
    hashes = [hashlib.sha256(each).hexdigest() for each in sent]
    assert [names[each["id"]] for each in images] == [
        f"uploaded/{hashes[0][:2]}/{hashes[0]}.png",
        f"uploaded/{hashes[1][:2]}/{hashes[1]}.jpg",
    ]
    assert len(names) == 5
    (hit,) = search(shop, where="price>12 AND brand=Corvid")
    assert hit["id"] == images[0]["id"]
    assert hit["fields"] == fields[0]


def test_fields_of_images_come_with_their_generation(shop: Shop, picture: Picture) -> None:
    before = shop.client.get(SHOP).json()["generation"]
    job = shop.ended(shop.add(picture("grey", "red"), data={"fields": '[{"price": 1}]'}))
    assert job["generation"] == before + 1


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(shop: Shop, picture: Picture) -> None:
    good = picture("grey", "red")
    job = shop.shown(
        shop.add(b"<html>", good, good[:-40], data={"fields": '[{"price": 1}, {"price": 2}, null]'})
    )
    first, second, third = job["result"]["images"]
    assert first == {
        "index": 0,
        "id": None,
        "problem": "the image is not an image in a known format",
    }
    assert second["problem"] is None
    assert third["id"] is None
    assert "damaged" in third["problem"]
    assert len(shop.uploaded()) == 1
    answer = shop.client.get(f"{SHOP}/images/{second['id']}")
    assert answer.json()["fields"] == {"price": 2}


def test_nothing_readable_makes_no_job(shop: Shop) -> None:
    answer = shop.client.post(f"{SHOP}/images", files=[("image", b"a"), ("image", b"b")])
    assert answer.status_code == 422
    assert answer.json()["detail"] == (
        "no image can be read: the image is not an image in a known format"
    )
    assert shop.client.get(f"{SHOP}/jobs").json() == []
    assert list((shop.state / "jobs").glob("*")) == []


def test_the_same_content_is_the_same_image(shop: Shop, picture: Picture) -> None:
    one, other = picture("grey", "red"), picture("grey", "green")
    first = shop.ended(shop.add(one, other, *[one] * 20))
    ids = [each["id"] for each in first["result"]["images"]]
    assert {ids[0]} == set(ids[2:]) != {ids[1]}
    assert first["result"]["new"] == 2
    again = shop.ended(shop.add(other))
    assert [each["id"] for each in again["result"]["images"]] == [ids[1]]
    assert again["result"]["new"] == 0
    assert again["generation"] == first["generation"]


@pytest.mark.parametrize("name", ["../../escaped.png", "/etc/x.png", "a\0b.png", "x" * 1000, "é🦜"])
def test_a_file_name_is_never_a_path(shop: Shop, picture: Picture, name: str) -> None:
    files = {"image": (name, picture("grey", "red"))}
    before = set(shop.root.parent.rglob("*.png"))
    shop.ended(shop.post("/images", files=files))
    new = set(shop.root.parent.rglob("*.png")) - before
    assert [path.relative_to(shop.root).as_posix() for path in new] == shop.uploaded()


def test_a_far_too_long_file_name_is_refused(shop: Shop, picture: Picture) -> None:
    files = {"image": ("x" * 5000, picture("grey", "red"))}
    assert shop.client.post(f"{SHOP}/images", files=files).status_code == 400
    assert shop.uploaded() == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("[{}]", "fields for 1 images, not for 2"),
        ("{}", "body.fields: Input should be a valid array"),
        ("[", "body.fields: Invalid JSON"),
        ('[{"path": "x"}, null]', "no field can be called path"),
        ('[{"a": {"b": 1}}, null]', "body.fields.0.a"),
        ('[{"a": NaN}, null]', "body.fields.0.a"),
    ],
)
def test_wrong_fields_are_told(shop: Shop, picture: Picture, fields: str, told: str) -> None:
    image = picture("grey", "red")
    files = [("image", image), ("image", image)]
    answer = shop.client.post(f"{SHOP}/images", files=files, data={"fields": fields})
    assert answer.status_code == 422
    assert told in answer.text
    assert list((shop.state / "jobs").glob("*")) == []


def test_fields_of_more_than_a_mebibyte_are_too_large(shop: Shop, picture: Picture) -> None:
    def add(characters: int) -> Any:
        fields = json.dumps([{"text": "x" * 9000}]).ljust(characters)
        sent = {"files": {"image": picture("grey", "red")}, "data": {"fields": fields}}
        return shop.client.post(f"{SHOP}/images", **sent)

    assert add(1 << 20).status_code == 202
    answer = add((1 << 20) + 1)
    assert answer.status_code == 413
    assert "such as fields or query, is larger than 1,024 KiB" in answer.json()["detail"]


def test_values_the_model_does_not_know_are_told(shop: Shop, picture: Picture) -> None:
    fields = '[null, {"upper": "gray"}]'
    sent = picture("grey", "red"), picture("grey", "blue")
    job = shop.ended(shop.add(*sent, data={"fields": fields}))
    (problem,) = job["result"]["problems"]
    assert problem.startswith("image 1: ")
    assert "grey" in problem


def test_an_image_is_deleted_and_its_uploaded_file_too(shop: Shop, picture: Picture) -> None:
    image = picture("grey", "red")
    added = shop.ended(shop.add(image))["result"]["images"][0]["id"]
    answer = shop.client.delete(f"{SHOP}/images/{added}")
    assert answer.status_code == 202
    job = shop.shown(answer.json())
    assert job["result"] == {"kind": "delete", "deleted": 1, "left": 3, "unknown": []}
    assert added not in shop.names()
    assert shop.uploaded() == []
    assert shop.client.get(f"{SHOP}/images/{added}").status_code == 404
    assert shop.client.delete(f"{SHOP}/images/{added}").status_code == 404
    again = shop.ended(shop.add(image))["result"]["images"][0]["id"]
    assert again > added


def test_files_of_the_folder_stay_when_deleted(shop: Shop) -> None:
    red = next(id_ for id_, name in shop.names().items() if name == "red.png")
    job = shop.ended(shop.post("/images/delete", json={"ids": [red, 999, red]}))
    assert job["result"] == {"kind": "delete", "deleted": 1, "left": 2, "unknown": [999]}
    assert (shop.root / "red.png").exists()
    job = shop.ended(shop.post("/update"))
    assert job["result"]["excluded"] == 1


def test_not_all_images_can_be_deleted(shop: Shop) -> None:
    job = shop.ended(shop.post("/images/delete", json={"ids": list(shop.names())}), "failed")
    assert job["problem"] == "that would leave no image in the catalogue; leave one at least"
    assert len(shop.names()) == 3


def test_the_folder_is_looked_through(shop: Shop, paint: Callable[..., Path]) -> None:
    paint(shop.root / "new.png", "white", "white")
    (shop.root / "broken.png").write_bytes(b"x")
    job = shop.shown(shop.post("/update"))
    result = job["result"]
    assert (result["new"], result["unchanged"], result["skipped"]) == (1, 3, 1)
    assert result["first_skipped"][0]["name"] == "broken.png"
    assert shop.client.get(SHOP).json()["images"] == 4


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.csv", b"path,price,upper\nred.png,7,grey\nlater.png,1,\ngreen.png,,gray\n"),
        ("../t.JSONL", b'{"path": "red.png", "price": 7}\n{"path": "later.png", "price": 1}\n'),
    ],
)
def test_a_table_of_fields(shop: Shop, name: str, table: bytes) -> None:
    job = shop.shown(shop.post("/fields", files={"table": (name, table)}))
    result = job["result"]
    assert result["fields"] == ["price"]
    assert result["waiting"] == 1
    assert result["left_out"] == len(result["problems"]) == table.count(b"gray")
    assert not any(str(shop.state) in each for each in result["problems"])
    assert [hit["name"] for hit in search(shop, where="price=7")] == ["red.png"]


def test_a_parquet_table_by_id(shop: Shop, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (red,) = (id_ for id_, name in shop.names().items() if name == "red.png")
    parquet.write_table(arrow.table({"id": [red], "price": [7.5]}), tmp_path / "t.parquet")
    table = (tmp_path / "t.parquet").read_bytes()
    shop.shown(shop.post("/fields", files={"table": ("t.parquet", table)}))
    assert [hit["id"] for hit in search(shop, where="price=7.5")] == [red]


def test_a_table_that_cannot_be_read(shop: Shop) -> None:
    answer = shop.client.post(f"{SHOP}/fields", files={"table": ("t.xls", b"x")})
    assert answer.status_code == 422
    assert ".csv" in answer.json()["detail"]
    job = shop.ended(shop.post("/fields", files={"table": ("t.csv", b"a,b\n1,2\n")}), "failed")
    assert job["problem"].startswith("the table has no column 'path'")


def test_jobs_are_listed_newest_first(shop: Shop) -> None:
    made = [shop.post("/update") for _ in range(3)]
    for each in made:
        shop.ended(each)
    listed = shop.client.get(f"{SHOP}/jobs", params={"limit": 2}).json()
    assert [each["id"] for each in listed] == [each["id"] for each in reversed(made)][:2]
    assert listed[0]["result"] is None
    assert shop.client.get(f"{SHOP}/jobs/{'A' * 22}").status_code == 404
    assert shop.client.delete(f"{SHOP}/jobs/{'A' * 22}").status_code == 404
    assert shop.client.get(f"{SHOP}/jobs/shop.lock").status_code == 422


def test_an_idempotency_key_makes_one_job(shop: Shop, picture: Picture) -> None:
    key = {"Idempotency-Key": "order 7"}
    first = shop.add(picture("grey", "red"), headers=key)
    again = shop.add(picture("grey", "blue"), headers=key)
    assert again["id"] == first["id"]
    shop.ended(first)
    assert shop.add(picture("grey", "red"), headers=key)["id"] == first["id"]
    assert len(shop.client.get(f"{SHOP}/jobs").json()) == 1
    other = shop.client.post(f"{SHOP}/update", headers=key)
    assert other.status_code == 422
    long = shop.client.post(f"{SHOP}/update", headers={"Idempotency-Key": "x" * 201})
    assert long.status_code == 422


def test_metrics_count_jobs_by_state(shop: Shop, picture: Picture) -> None:
    shop.ended(shop.add(picture("grey", "red")))
    shop.ended(shop.post("/fields", files={"table": ("x.parquet", b"PAR1")}), "failed")
    told = shop.client.get("/metrics").text.splitlines()
    for state, number in (("queued", 0), ("running", 0), ("done", 1), ("failed", 1)):
        assert f'finetag_jobs{{catalog="shop",state="{state}"}} {number}.0' in told


def test_progress_is_told(shop: Shop, embedder: SlowEmbedder, paint: Callable[..., Path]) -> None:
    for side in range(10, 50):
        paint(shop.root / f"{side}.png", "red", "grey", (side, side))
    embedder.may_go_on.clear()
    job = shop.post("/update")
    seen = shop.until(job, lambda job: job["total"] == 43)
    assert seen["state"] == "running"
    assert seen["started"] >= seen["created"]
    embedder.may_go_on.set()
    assert shop.ended(job)["result"]["new"] == 40
