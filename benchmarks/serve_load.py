"""The clients of benchmarks/serve.py: a process that asks, and writes down what it was answered.

    python benchmarks/serve_load.py PLAN FOLDER

Each client asks the next question as soon as the last was answered. Beside them, one hangs up in
the middle of its requests, and one sends half a body, all the time. Nothing is checked here, and
HTTP is spoken in its plainest form, so that as little as possible of the machine is taken from
the service: a client library would take a fifth as much as the service itself.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, BinaryIO
from urllib.parse import urlsplit

_PAUSE = 0.5
_PATIENCE = 60.0  # seconds for an answer

ANSWERS, BODIES, SUMMARY = "answers.jsonl", "bodies", "summary.json"


@dataclass(frozen=True)
class Plan:
    """What is asked; JSON.

    Attributes:
        url: of the service.
        clients: how many ask at once.
        seconds: for how long.
        seed: of the order.
        shares: of each kind among all requests.
        questions: by kind; see `serve_questions`.
    """

    url: str
    clients: int
    seconds: float
    seed: int
    shares: dict[str, float]
    questions: dict[str, list[dict[str, Any]]]


class Connection:
    """A connection that is kept open from request to request, and opened again when it was lost."""

    def __init__(self, url: str) -> None:
        self._host, self._port = _address(url)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the status and the body of the answer.

        Raises:
            OSError, EOFError, ValueError, TimeoutError: there is no whole answer.
        """
        try:
            return await asyncio.wait_for(self._ask(request), _PATIENCE)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it."""
        if self._writer:
            self._writer.close()
        self._writer = None

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        assert self._reader
        self._writer.write(request)
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(status.split()[1]), body


class Load:
    """All clients."""

    def __init__(self, plan: Plan, folder: Path, bodies: BinaryIO) -> None:
        self._plan, self._folder, self._bodies = plan, folder, bodies
        self._lines: list[dict[str, Any]] = []
        self.hung_up = self.half = 0

    async def run(self) -> None:
        """Ask for as long as the plan says, and write down the answers."""
        plan = self._plan
        start = perf_counter()
        self._end = start + plan.seconds
        trouble = [asyncio.create_task(self._hang_up()), asyncio.create_task(self._halve())]
        await asyncio.gather(*(self._client(each) for each in range(plan.clients)))
        seconds = perf_counter() - start
        for each in trouble:
            each.cancel()
        with (self._folder / ANSWERS).open("w") as file:
            file.writelines(json.dumps(line) + "\n" for line in self._lines)
        summary = {
            "seconds": seconds,
            "cpu_seconds": process_time(),
            "hung_up": self.hung_up,
            "half_bodies": self.half,
        }
        (self._folder / SUMMARY).write_text(json.dumps(summary))

    async def _client(self, number: int) -> None:
        connection = Connection(self._plan.url)
        draw = random.Random(f"{self._plan.seed} {number}")  # noqa: S311
        kinds, shares = list(self._plan.shares), list(self._plan.shares.values())
        while perf_counter() < self._end:
            (kind,) = draw.choices(kinds, shares)
            at = draw.randrange(len(self._plan.questions[kind]))
            question = self._plan.questions[kind][at]
            answer = await self._ask(connection, kind, at, question)
            if kind == "next page" and answer:
                # Its question is the first page; what comes next is asked of the same generation.
                following = {**question["json"], "cursor": json.loads(answer)["next"]}
                await self._ask(connection, kind, at, {**question, "json": following}, page=2)
        connection.close()

    async def _ask(
        self,
        connection: Connection,
        kind: str,
        at: int,
        question: dict[str, Any],
        page: int = 1,
    ) -> bytes | None:
        line: dict[str, Any] = {"kind": kind, "question": at, "page": page}
        self._lines.append(line)
        head, body = request_of(self._plan.url, question)
        line["start"] = perf_counter()
        try:
            status, answer = await connection.ask(head + body)
        except (OSError, EOFError, ValueError, KeyError) as error:
            line["lost"] = f"{type(error).__name__}: {error}"
            return None
        line["seconds"] = perf_counter() - line["start"]
        line["status"] = status
        line["body"] = (self._bodies.tell(), self._bodies.write(answer))
        return answer if status == 200 else None

    async def _hang_up(self) -> None:
        """Close the connection while the answer is being made."""
        draw = random.Random(self._plan.seed)  # noqa: S311
        while True:
            question = draw.choice(self._plan.questions["like, filter, facets"])
            await self._cut_off(question, 1.0, draw.uniform(0.0, 0.1))
            self.hung_up += 1
            await asyncio.sleep(_PAUSE)  # for what was asked is answered to nobody

    async def _halve(self) -> None:
        """Send half of a body, and close the connection after a while."""
        draw = random.Random(self._plan.seed)  # noqa: S311
        while True:
            question = draw.choice(self._plan.questions["filter"])
            await self._cut_off(question, 0.5, draw.uniform(0.0, 0.5))
            self.half += 1

    async def _cut_off(self, question: dict[str, Any], share: float, seconds: float) -> None:
        head, body = request_of(self._plan.url, question)
        with suppress(OSError):
            _, writer = await asyncio.open_connection(*_address(self._plan.url))
            writer.write(head + body[: int(share * len(body))])
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.transport.abort()


def request_of(url: str, question: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the head and the body of the request that asks a question."""
    kind, body = "application/json", b""
    if "file" in question:
        kind = "multipart/form-data; boundary=finetag"
        query = question["form"]["query"].encode()
        body = (
            b'--finetag\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + query + b"\r\n"
            b'--finetag\r\nContent-Disposition: form-data; name="image"; filename="image"\r\n\r\n'
            + _read(question["file"])
            + b"\r\n--finetag--\r\n"
        )
    elif "json" in question:
        body = json.dumps(question["json"]).encode()
    host, port = _address(url)
    head = (
        f"{question['method']} {question['path']} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


@cache
def _read(name: str) -> bytes:
    return Path(name).read_bytes()


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def start(plan: Plan, folder: Path) -> list[str]:
    """Write down a plan; return the command that carries it out, into the same folder."""
    folder.mkdir()
    file = folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)))
    return [sys.executable, __file__, str(file), str(folder)]


def main() -> None:
    """Carry out a plan."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    folder = Path(sys.argv[2])
    with (folder / BODIES).open("wb") as bodies:
        asyncio.run(Load(plan, folder, bodies).run())


if __name__ == "__main__":
    main()
