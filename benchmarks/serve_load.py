"""The clients of benchmarks/serve.py: a process that asks, and writes down what it was answered.

    python benchmarks/serve_load.py PLAN FOLDER

Each client asks the next question as soon as the last was answered. Beside them, one hangs up in
the middle of its requests, and one sends half a body, all the time. Nothing is checked here, so
that as little as possible of the machine is taken from the service.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, BinaryIO

import httpx2

_PAUSE = 0.5

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


class Load:
    """All clients."""

    def __init__(self, plan: Plan, folder: Path, bodies: BinaryIO) -> None:
        self._plan, self._bodies = plan, bodies
        self._lines: list[dict[str, Any]] = []
        self._files: dict[str, bytes] = {}
        self._folder = folder
        self.hung_up = self.half = 0

    async def run(self) -> None:
        """Ask for as long as the plan says, and write down the answers."""
        plan = self._plan
        limits = httpx2.Limits(max_connections=plan.clients)
        start = perf_counter()
        self._end = start + plan.seconds
        async with httpx2.AsyncClient(base_url=plan.url, limits=limits, timeout=60) as client:
            trouble = [asyncio.create_task(self._hang_up()), asyncio.create_task(self._halve())]
            await asyncio.gather(*(self._client(client, each) for each in range(plan.clients)))
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

    async def _client(self, client: httpx2.AsyncClient, number: int) -> None:
        draw = random.Random(f"{self._plan.seed} {number}")  # noqa: S311
        kinds, shares = list(self._plan.shares), list(self._plan.shares.values())
        while perf_counter() < self._end:
            (kind,) = draw.choices(kinds, shares)
            at = draw.randrange(len(self._plan.questions[kind]))
            answer = await self._ask(client, kind, at, self._plan.questions[kind][at])
            if kind == "next page" and answer:
                # Its question is the first page; what comes next is asked of the same generation.
                question = self._plan.questions[kind][at]
                following = {**question["json"], "cursor": json.loads(answer)["next"]}
                await self._ask(client, "next page", at, {**question, "json": following}, page=2)

    async def _ask(
        self,
        client: httpx2.AsyncClient,
        kind: str,
        at: int,
        question: dict[str, Any],
        page: int = 1,
    ) -> bytes | None:
        line: dict[str, Any] = {"kind": kind, "question": at, "page": page}
        self._lines.append(line)
        options: dict[str, Any] = {}
        if "file" in question:
            options = {"files": {"image": self._file(question["file"])}, "data": question["form"]}
        elif "json" in question:
            options = {"json": question["json"]}
        line["start"] = perf_counter()
        try:
            answer = await client.request(question["method"], question["path"], **options)
        except httpx2.HTTPError as error:
            line["lost"] = f"{type(error).__name__}: {error}"
            return None
        line["seconds"] = perf_counter() - line["start"]
        line["status"] = answer.status_code
        line["body"] = (self._bodies.tell(), self._bodies.write(answer.content))
        return answer.content if answer.status_code == 200 else None

    def _file(self, name: str) -> bytes:
        if name not in self._files:
            self._files[name] = Path(name).read_bytes()
        return self._files[name]

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
        body = json.dumps(question["json"]).encode()
        url = httpx2.URL(self._plan.url)
        head = (
            f"{question['method']} {question['path']} HTTP/1.1\r\nHost: {url.host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with suppress(OSError):
            _, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(head.encode() + body[: int(share * len(body))])
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.transport.abort()


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
