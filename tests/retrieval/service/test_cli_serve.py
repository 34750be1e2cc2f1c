"""`finetag-serve` says in one line what is wrong before it starts, and ends as it is asked to."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result

from finetag_model.embedder import load_embedder
from indexer import build
from retrieval.service import cli_options
from retrieval.service.cli import main
from retrieval.service.cli_options import Address, check_address
from retrieval.service.keys import Keys
from retrieval.service.settings import Limits, Settings
from retrieval.service.store import open_store

RunServe = Callable[..., Result]


class Checkpoint:
    def __init__(self, embedder: Any) -> None:
        self.model = embedder.model


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Keep what uvicorn is run with in place of running it."""
    runs: list[dict[str, Any]] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **told: runs.append({"app": app, **told}))
    monkeypatch.setattr("retrieval.service.cli._Signals", FakeSignals)
    monkeypatch.setenv("FINETAG_SERVE", "")  # so that it is put back
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    return runs


class FakeSignals:
    def keep_ctrl_c(self) -> None: ...

    def leave(self) -> None: ...


@pytest.fixture
def run(
    service_index: Path,
    state: Path,
    color_embedder: Any,
    handed: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> RunServe:
    """Run the command on the small index, with the colour model in place of the shipped one."""
    checkpoint = Checkpoint(color_embedder)
    monkeypatch.setattr(cli_options, "read_checkpoint", lambda _: checkpoint)
    monkeypatch.setenv("FINETAG_INDEX", str(service_index))
    monkeypatch.setenv("FINETAG_STATE", str(state))

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, ["--port", "0", *map(str, arguments)])

    return run


def told(result: Result) -> str:
    assert result.exit_code in {1, 2}
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (3, 3), (64, 4)])
def test_a_worker_a_core_but_not_too_many(
    run: RunServe,
    handed: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    cores: int,
    workers: int,
) -> None:
    monkeypatch.setattr(cli_options, "cores", lambda: cores)
    assert run().exit_code == 0
    (told,) = handed
    assert told["workers"] == workers
    assert "one a core, at most 4" in run("--help").stdout


def test_it_starts_with_what_it_was_told(
    run: RunServe, handed: list[dict[str, Any]], service_index: Path, state: Path
) -> None:
    result = run("--catalog", f"shop={service_index}", "--workers", 2, "--rate", 5, "--fetch-urls")
    assert result.exit_code == 0, result.stderr
    (told,) = handed
    assert told["app"] == "retrieval.service.app:create"
    assert told["workers"] == 2
    assert not told["access_log"]
    assert not told["server_header"]
    assert told["forwarded_allow_ips"] == "127.0.0.1"
    settings = Settings.inherited()
    assert settings == Settings(
        catalogs={"shop": service_index},
        state=state,
        fetch_urls=True,
        limits=Limits(per_minute=5),
    )
    assert re.search(
        r"^serving shop \(65 images\) at http://127\.0\.0\.1:\d+/, without a key", result.stderr
    )
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_defaults_are_those_of_the_settings(run: RunServe, service_index: Path) -> None:
    run()
    settings = Settings.inherited()
    assert settings.limits == Limits()
    assert settings.catalogs == {"main": service_index}
    assert not settings.keys


def test_threads_are_one_unless_told(run: RunServe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    run()
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(
    "arguments",
    [["--host", "0.0.0.0"], ["--host", "::"], ["--require-keys"], ["--allow-host", "shop.example"]],  # noqa: S104
)
def test_who_can_be_reached_needs_keys(run: RunServe, state: Path, arguments: list[str]) -> None:
    refusal = told(run(*arguments))
    assert "there is none yet; make one first: 'finetag-keys create" in refusal
    assert str(state) in refusal
    keys = Keys(open_store(state))
    text = keys.create("read")
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "with a key" in result.stderr
    assert Settings.inherited().keys
    keys.revoke(text[3:15])
    assert "every key is revoked or expired" in told(run(*arguments))


def test_once_there_are_keys_they_are_needed(run: RunServe, state: Path) -> None:
    keys = Keys(open_store(state))
    first = keys.create("read", days=-1)
    assert "every key is revoked or expired" in told(run())
    keys.create("read")
    keys.revoke(first[3:15])
    assert run().exit_code == 0
    assert Settings.inherited().keys


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--catalog", "Shoes=/x"], "'Shoes' is no name for a catalogue"),
        (["--catalog", "../x=/x"], "'../x' is no name for a catalogue"),
        (["--catalog", "shoes"], "--catalog takes NAME=DIR, as shoes=/data/shoes, not 'shoes'"),
        (["--catalog", "shoes="], "--catalog takes NAME=DIR"),
        (["--catalog", "a=/x", "--catalog", "a=/y"], "two catalogues are called a"),
        (["--catalog", "a=/x", "--index", "/y"], "--index serves one catalogue alone"),
        (["--catalog", "a=/nowhere"], "/nowhere"),
        (["--index", "/nowhere"], "/nowhere"),
        (["--host", ""], "there is no address ''"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1, port 0: cannot assign"),
        (["--state", "/proc/nothing"], "name another folder with --state"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    run: RunServe, handed: list[dict[str, Any]], arguments: list[str], line: str
) -> None:
    assert line in told(run(*arguments))
    assert not handed


def test_a_port_in_use(run: RunServe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = told(run("--port", port))
    assert f"cannot listen at 127.0.0.1, port {port}: address already in use" in line


def test_another_model_than_the_indexs(run: RunServe, monkeypatch: pytest.MonkeyPatch) -> None:
    other = load_embedder(None, "onnx")
    monkeypatch.setattr(cli_options, "read_checkpoint", lambda _: Checkpoint(other))
    line = told(run())
    assert "the catalogue main was made with another model, color-halves (c0c0c0c0)" in line
    assert "--model" in line


def test_a_checkpoint_that_is_missing(service_index: Path, handed: list[Any]) -> None:
    arguments = ["--index", str(service_index), "--model", "/nowhere.safetensors"]
    assert "model /nowhere.safetensors does not exist" in told(CliRunner().invoke(main, arguments))


def test_the_extra_is_missing(run: RunServe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_options, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert "pip install 'finetag[serve]'" in told(run())


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("0", False),
    ],
)
def test_what_is_this_machine_alone(host: str, is_loopback: bool) -> None:
    address = check_address(host, 0)
    assert address.is_loopback == is_loopback
    assert address.port > 0
    assert Address("::1", 80, is_loopback=True).url == "http://[::1]:80/"


def test_help_has_examples() -> None:
    text = CliRunner().invoke(main, ["--help"]).stdout
    assert "finetag-serve --catalog shoes=/data/shoes --catalog bags=/data/bags" in text
    assert "[default: 20;" in " ".join(text.split())


# With real processes from here on.


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index a picture with the model that is shipped."""
    from PIL import Image  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("photographs")
    Image.new("RGB", (64, 64), "red").save(folder / "red.png")
    build(folder, folder / ".finetag", load_embedder(None, "onnx"))
    return folder / ".finetag"


@pytest.fixture
def process(photographs: Path, state: Path) -> Iterator[Callable[..., tuple[Any, str]]]:
    """Start the command; return its process and address."""
    started: list[subprocess.Popen[str]] = []
    program = "from retrieval.service.cli import main\nif __name__ == '__main__': main()"
    script = state.parent / "serve.py"
    script.write_text(program)

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, str(script), "--index", str(photographs), "--runtime", "onnx"]
        serving = subprocess.Popen(
            [*command, "--state", str(state), "--port", "0", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        started.append(serving)
        assert serving.stderr is not None
        line = serving.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address, line + serving.stderr.read()
        until(lambda: get(address[0], "/readyz") == 200)
        return serving, address[0]

    yield start
    for serving in started:
        serving.kill()
        serving.communicate()


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert time.monotonic() < end
        time.sleep(0.2)


def check_log(stderr: str) -> None:
    """See that all that was said is lines of the log, and none of something going wrong.

    Python itself tells of the semaphores of a process that was killed.
    """
    for line in stderr.splitlines():
        if "resource_tracker" in line or line.strip().startswith("warnings.warn"):
            continue
        assert json.loads(line)["level"] == "info", line


def get(address: str, path: str, key: str = "") -> int:
    try:
        answer = httpx2.get(address + path, headers={"X-API-Key": key}, timeout=30)
    except httpx2.TransportError:
        return 0
    assert "server" not in answer.headers
    assert "date" in answer.headers
    return answer.status_code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_one_process_ends_as_it_is_asked(
    process: Callable[..., tuple[Any, str]], number: int, code: int
) -> None:
    serving, address = process("--workers", "1")
    assert get(address, "/v1/catalogs") == 200
    serving.send_signal(number)
    _, stderr = serving.communicate(timeout=60)
    assert serving.returncode == code
    check_log(stderr)


def test_two_workers_with_keys_answer_are_replaced_and_end(
    process: Callable[..., tuple[Any, str]], state: Path
) -> None:
    keys = Keys(open_store(state))
    key = keys.create("read")
    serving, address = process("--workers", "2")
    assert get(address, "/v1/catalogs") == 401
    assert get(address, "/v1/catalogs", key) == 200

    def workers() -> list[int]:
        children = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text().split()
        of = {int(each): Path(f"/proc/{each}/cmdline").read_bytes() for each in children}
        return [pid for pid, command in of.items() if b"spawn_main" in command]

    until(lambda: len(workers()) == 2)
    lost = workers()[0]
    os.kill(lost, signal.SIGKILL)
    until(lambda: lost not in workers() and len(workers()) == 2)
    assert [get(address, "/v1/catalogs", key) for _ in range(10)] == [200] * 10
    keys.revoke(key[3:15])
    until(lambda: get(address, "/v1/catalogs", key) == 401)
    serving.send_signal(signal.SIGINT)
    _, stderr = serving.communicate(timeout=90)
    assert serving.returncode == 130
    check_log(stderr)
