"""What benchmarks/serve.py asks, and whether the answers are what the library says.

A question is a request: method, path, and JSON, or a file and a form. An answer is right if it
is the library's own for the content of the generation that it names, to the last bit, but for
the milliseconds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from finetag_model.embedder import load_embedder
from indexer import Index
from retrieval import Catalog
from retrieval.service.models import Answer

ROWS, PARENTS = "rows", "parents"
"""The catalogues: what is grown, and what it is grown from, whose files are there."""

SHARES = {
    "filter": 0.25,
    "like": 0.2,
    "like, filter, facets": 0.3,
    "next page": 0.05,
    "picture": 0.1,
    "thumbnail": 0.1,
}
_GENERATION_BYTES = 8  # of a cursor, at its start
_SEARCH = f"/v1/catalogs/{ROWS}/search"

Questions = dict[str, list[dict[str, Any]]]


def make(index: Index, parents: Index, number: int, seed: int) -> Questions:
    """Return questions of each kind.

    Args:
        index: what is asked about; of its two contents the smaller.
        parents: whose pictures are searched with, and shown.
        number: of each kind; of pictures, whose embeddings a service remembers, four times as
            many.
        seed: of the choice.
    """
    random = np.random.default_rng([seed, 2])
    names = index.manifest.vocabulary.names
    counts = index.counts([tuple(range(len(names)))], index.all_rows)[0].each
    common = np.flatnonzero((counts >= index.rows // 1000) & (counts <= index.rows // 2))
    assert len(common) > 1, "no attribute is of some images, and not of most"

    def where() -> str:
        one, two = (names[each] for each in random.choice(common, 2, replace=False))
        return str(random.choice([one, one, f"{one} AND {two}", f"{one} AND NOT {two}"]))

    def like() -> int:
        return index.images([int(random.integers(index.rows))])[0].id

    def search(**asked: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"method": "POST", "path": _SEARCH, "json": asked}

    def picture() -> dict[str, Any]:
        (record,) = parents.images([int(random.integers(parents.rows))])
        left, top = random.uniform(0, 0.1, 2).round(4).tolist()
        asked: dict[str, Any] = {"crop": [left, top, 0.9, 0.9]}
        if random.random() < 0.5:
            asked["where"] = where()
        return {
            "method": "POST",
            "path": f"{_SEARCH}/upload",
            "file": str(record.absolute),
            "form": {"query": json.dumps(asked)},
        }

    def thumbnail() -> dict[str, Any]:
        (record,) = parents.images([int(random.integers(parents.rows))])
        return {
            "method": "GET",
            "path": f"/v1/catalogs/{PARENTS}/images/{record.id}/thumbnail",
        }

    def asked(kind: str) -> Iterator[dict[str, Any]]:
        for _ in range(4 * number if kind == "picture" else number):
            match kind:
                case "filter" | "next page":
                    yield search(where=where())
                case "like":
                    yield search(like=[like()])
                case "picture":
                    yield picture()
                case "thumbnail":
                    yield thumbnail()
                case _:
                    yield search(like=[like()], where=where(), facets=[])

    return {kind: list(asked(kind)) for kind in SHARES}


class Checker:
    """Knows what is right."""

    def __init__(self, contents: Sequence[Index], questions: Questions) -> None:
        """Check answers of generations whose contents alternate, beginning with the first."""
        embedder = load_embedder()
        self._catalogs = [Catalog(each, embedder=embedder) for each in contents]
        self._questions = questions
        self._expected = cache(self._searched)

    def what_is_wrong(self, line: dict[str, Any], body: bytes) -> str | None:
        """Say what is wrong with an answer, if anything is.

        Args:
            line: what the load says of the request.
            body: of the answer, whose status is 200.
        """
        if line["kind"] == "thumbnail":
            is_jpeg = body.startswith(b"\xff\xd8") and body.endswith(b"\xff\xd9")
            return None if is_jpeg else "it is no JPEG"
        answer = json.loads(body)
        content = (answer["generation"] - 1) % len(self._catalogs)
        expected = self._expected(line["kind"], line["question"], line["page"], content)
        found = _comparable(answer)
        wrong = [name for name, value in expected.items() if found.get(name) != value]
        return f"{', '.join(wrong)} of generation {answer['generation']}" if wrong else None

    def _searched(self, kind: str, number: int, page: int, content: int) -> dict[str, Any]:
        question = self._questions[kind][number]
        asked = dict(question.get("json") or json.loads(question["form"]["query"]))
        if "file" in question:
            asked |= {"image": Path(question["file"]), "crop": tuple(asked["crop"])}
        catalog = self._catalogs[content]
        answer = catalog.search(**asked)
        if page == 2:
            answer = catalog.search(**asked, cursor=answer.next)
        return _comparable(Answer.model_validate(answer).model_dump(mode="json"))


def _comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without times, and without the number of its generation."""
    kept = {name: value for name, value in answer.items() if name not in {"milliseconds"}}
    del kept["generation"]
    if kept["next"] is not None:
        text = kept["next"]
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        kept["next"] = data[_GENERATION_BYTES:]
    return kept
