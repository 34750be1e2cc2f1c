"""Images that a request brings: checked, named by their contents, and kept for their job.

In the catalogue folder they lie as `uploaded/<first two digits>/<SHA-256>.<ending>`, whatever a
client calls them.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetag_model.errors import ImageError
from retrieval.service.decoding import PROCESSES
from retrieval.service.job_files import keep

if TYPE_CHECKING:
    from fastapi import UploadFile

    from retrieval.service.decoding import Decoder

FIELDS_TABLE = "fields.jsonl"

_OURS = re.compile(r"uploaded/([0-9a-f]{2})/\1[0-9a-f]{62}\.[a-z0-9]+")


def place_of(file: str) -> str:
    """Return where a file named by its content lies, relative to the catalogue folder."""
    return f"uploaded/{file[:2]}/{file}"


def is_ours(path: str) -> bool:
    """Say whether an image, by its path in the catalogue folder, is one that a client sent."""
    return _OURS.fullmatch(path) is not None


def keep_images(
    images: Sequence[UploadFile], decoder: Decoder, folder: Path
) -> list[dict[str, str]]:
    """Read all images, and keep those that can be read.

    Returns:
        Of each image either its `file`, in the folder, or the `problem` with it.

    Raises:
        OSError: one cannot be kept.
    """
    one_at_a_time = threading.Lock()

    def keep_image(image: UploadFile) -> dict[str, str]:
        data = image.file.read()
        try:
            suffix = decoder.suffix(data)
        except ImageError as error:
            return {"problem": str(error)}
        file = f"{hashlib.sha256(data).hexdigest()}{suffix}"
        with one_at_a_time:
            if not (folder / file).exists():
                keep(folder / file, data)
        return {"file": file}

    with ThreadPoolExecutor(PROCESSES) as pool:
        return list(pool.map(keep_image, images))


def keep_fields(
    items: Sequence[Mapping[str, str]], fields: Sequence[Mapping[str, Any] | None], folder: Path
) -> None:
    """Keep what shall be imported of images, as a table whose line i + 1 is about image i."""
    lines = [
        "" if said is None or "file" not in item
        else json.dumps({**said, "path": place_of(item["file"])})
        for item, said in zip(items, fields, strict=True)
    ]  # fmt: skip
    if any(lines):
        keep(folder / FIELDS_TABLE, "\n".join(lines).encode())
