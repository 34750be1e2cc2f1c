"""Ten thousand hostile files never stop a build, and change nothing about the good ones."""

from __future__ import annotations

import io
import os
import random
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer import Index, build

FILES = 10_000
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "AVIF", "JPEG2000")


def good_files() -> list[tuple[str, bytes]]:
    """Return one small picture in each format, with its suffix."""
    image = Image.linear_gradient("L").resize((24, 16)).convert("RGB")
    made = []
    for name in FORMATS:
        buffer = io.BytesIO()
        image.save(buffer, name)
        made.append((f".{name.lower().replace('jpeg2000', 'jp2')}", buffer.getvalue()))
    return made


def fuzzed(data: bytes, chance: random.Random) -> bytes:
    """Spoil a header, cut a file short, or fill it with noise."""
    spoiled = bytearray(data)
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(chance.randrange(1, 9)):
            spoiled[chance.randrange(min(64, len(spoiled)))] = chance.randrange(256)
    elif kind == 1:
        del spoiled[chance.randrange(len(spoiled)) :]
    elif kind == 2:
        for _ in range(len(spoiled) // 8):
            spoiled[chance.randrange(len(spoiled))] = chance.randrange(256)
    elif kind == 3:
        spoiled[8:] = chance.randbytes(chance.randrange(200))
    else:
        at = chance.randrange(len(spoiled))
        spoiled[at:at] = chance.randbytes(4) * chance.randrange(1, 50)
    return bytes(spoiled)


def png_bomb(side: int) -> bytes:
    """Return a small file that claims, and has, a picture of side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side + 1) * min(side, 20_000), 1)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def text_bomb() -> bytes:
    """Return a picture whose metadata unpack to 200 MB."""
    data = zlib.compress(bytes(200_000_000), 1)
    body = b"zTXtcomment\0\0" + data
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    plain = dict(good_files())[".png"]
    return plain[:33] + chunk + plain[33:]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Make the files, in 100 folders, with names as odd as they may be."""
    chance = random.Random(7)
    root = tmp_path / "hostile"
    kinds = good_files()
    for number in range(FILES):
        folder = root / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        suffix, data = kinds[chance.randrange(len(kinds))]
        odd = chance.choice(
            ["", " ", "\n", "\x1b[2J", "é" * 20, "'; DROP TABLE image; --", "%s", "\\"]
        )
        (folder / f"{number}{odd}{suffix}").write_bytes(fuzzed(data, chance))
    (root / "bomb-0.png").write_bytes(png_bomb(60_000))
    (root / "bomb-1.png").write_bytes(png_bomb(12_000))
    (root / "bomb-2.png").write_bytes(text_bomb())
    (root / "empty.jpg").touch()
    (root / "loop.png").symlink_to("loop.png")
    (root / "circle").symlink_to(root)
    (root / "dangling.gif").symlink_to("nowhere")
    os.mkfifo(root / "pipe.png")
    (root / "folder.jpg").mkdir()
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")).write_bytes(b"?")
    with (root / "sparse.jpg").open("wb") as file:
        file.truncate(3 << 30)
    return root


def test_hostile_files_never_stop_a_build(
    hostile: Path,
    index_dir: Path,
    color_embedder: Any,
    paint: Callable[..., Path],
) -> None:
    good = [
        paint(hostile / f"{i:02}" / "good.png", "red", "blue").relative_to(hostile)
        for i in range(9)
    ]
    report = build(hostile, index_dir, color_embedder)
    reasons = {each.path: each.reason for each in report.skipped}
    assert report.images + len(reasons) > FILES
    assert not any("\n" in reason for reason in reasons.values())
    assert "pixels" in reasons["bomb-0.png"]
    assert "empty" in reasons["empty.jpg"]
    assert "larger than" in reasons["sparse.jpg"]
    assert "cannot be read" in reasons["loop.png"]
    assert "cannot be read" in reasons["dangling.gif"]
    assert "UTF-8" in reasons[r"caf\xe9.png"]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 3 << 20  # KiB

    with Index.open(index_dir) as index:
        records = {each.path: row for row, each in enumerate(index.images(range(index.rows)))}
        red = index.scores(index.manifest.vocabulary.position("upper=red"))
        assert all(red[records[path.as_posix()]] > 200 for path in good)
    again = build(hostile, index_dir, color_embedder)
    assert (again.published, again.embedded) == (False, 0)
    assert {each.path: each.reason for each in again.skipped} == reasons
