"""One client has so many requests a minute, whichever worker process answers them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.service.callers import Caller
from retrieval.service.keys import Keys
from retrieval.service.rates import Buckets
from retrieval.service.store import open_store
from tests.retrieval.service.conftest import StartService

LIST = "/v1/catalogs"


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1e9

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("retrieval.service.rates.time", clock)
    return clock


@pytest.fixture
def buckets(tmp_path: Path) -> Iterator[Buckets]:
    buckets = Buckets(tmp_path / "rates", 60)
    yield buckets
    buckets.close()


@pytest.mark.usefixtures("clock")
def test_who_asks_too_often_is_told_to_wait(start: StartService) -> None:
    client = start(limits={"per_minute": 3})
    answers = [client.get(LIST) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"client";r=2;t=20',
        '"client";r=1;t=40',
        '"client";r=0;t=60',
        '"client";r=0;t=60',
    ]
    assert answers[-1].headers["ratelimit-policy"] == '"client";q=3;w=60'
    assert answers[-1].headers["retry-after"] == "20"
    assert answers[-1].json()["detail"] == "more than 3 requests a minute; ask again in 20 s"


def test_tokens_come_back_evenly(start: StartService, clock: Clock) -> None:
    client = start(limits={"per_minute": 3})
    for _ in range(4):
        answer = client.get(LIST)
    clock.now += int(answer.headers["retry-after"])
    assert client.get(LIST).status_code == 200
    assert client.get(LIST).status_code == 429
    clock.now -= 3600  # a clock that is set back
    assert client.get(LIST).status_code == 429
    clock.now += 3600
    assert client.get(LIST).headers["ratelimit"] == '"client";r=2;t=20'


@pytest.mark.usefixtures("clock")
def test_a_thumbnail_takes_a_tenth(start: StartService) -> None:
    client = start(limits={"per_minute": 1})
    statuses = [client.get(f"{LIST}/shop/images/1/thumbnail").status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]


@pytest.mark.usefixtures("clock")
def test_what_costs_little_does_not_count(start: StartService) -> None:
    client = start(limits={"per_minute": 1})
    for path in ("/healthz", "/readyz", "/metrics", "/", "/nowhere") * 3:
        assert client.get(path).status_code in {200, 404}
    assert client.get(LIST).status_code == 200
    assert client.get(LIST).status_code == 429
    assert client.get("/healthz").status_code == 200


def test_there_may_be_no_limit(start: StartService) -> None:
    client = start(limits={"per_minute": 0})
    answer = client.get(LIST)
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers


def test_a_client_of_ipv6_has_a_network(buckets: Buckets) -> None:
    from retrieval.service.rates import _client  # noqa: PLC0415

    def of(address: str | None, key: str | None = None) -> str:
        caller = Caller(key, "read", ())
        return _client({"client": address and (address, 1), "state": {"caller": caller}})

    assert of("2001:db8:1:2::3") == of("2001:db8:1:2:ffff::9") != of("2001:db8:1:3::3")
    assert of("::ffff:192.0.2.1") == of("192.0.2.1") != of("192.0.2.2")
    assert of("192.0.2.1", key="a") == of("192.0.2.2", key="a") != of("192.0.2.1", key="b")
    assert of("192.0.2.1", key="192.0.2.1") != of("192.0.2.1")
    assert of(None) == of("")


def test_memory_is_bounded_and_a_known_client_is_remembered(
    tmp_path: Path, buckets: Buckets, clock: Clock
) -> None:
    size = (tmp_path / "rates").stat().st_size
    for i in range(20_000):
        clock.now += 1e-6
        if i % 1_000 == 0:
            assert buckets.take("steady", 1).left == 59 - i // 1_000
        buckets.take(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 1)
    assert (tmp_path / "rates").stat().st_size == size < 2**20


def test_processes_count_together(tmp_path: Path, buckets: Buckets) -> None:
    code = (
        "import sys; from pathlib import Path; from retrieval.service.rates import Buckets;"
        "print(sum(Buckets(Path(sys.argv[1]), 60).take('one', 1).is_granted for _ in range(50)))"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "rates")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        for _ in range(2)
    ]
    granted = [int(each.communicate(timeout=60)[0]) for each in others]
    # 60 were there; at a token a second, some more came while the processes ran.
    assert 60 <= sum(granted) < 100
    assert buckets.take("one", 60).is_granted is False


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "rates").write_bytes(b"damaged")
    buckets = Buckets(tmp_path / "rates", 60)
    assert buckets.take("one", 1).left == 59
    buckets.close()


def test_the_folder_must_be_writable(tmp_path: Path) -> None:
    from finetag_model.errors import FineTagError  # noqa: PLC0415

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FineTagError, match="cannot write"):
        Buckets(tmp_path / "file" / "rates", 60)


def test_who_guesses_keys_is_turned_away(start: StartService, tmp_path: Path) -> None:
    client = start(keys=True, limits={"per_minute": 5})
    key = Keys(open_store(tmp_path / "state")).create("read")
    statuses = [client.get(LIST, headers={"x-api-key": "guess"}).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert client.get(LIST, headers={"x-api-key": key}).status_code == 429
    assert client.get("/metrics").status_code == 429
    assert client.get("/healthz").status_code == 200  # a load balancer may have this address


def test_each_key_has_its_own(start: StartService, tmp_path: Path) -> None:
    client = start(keys=True, limits={"per_minute": 2})
    keys = Keys(open_store(tmp_path / "state"))
    for key in (keys.create("read"), keys.create("read")):
        statuses = [client.get(LIST, headers={"x-api-key": key}).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
