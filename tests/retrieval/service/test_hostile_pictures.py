"""Pictures made to fill memory, to break a decoder, or to be something else in a browser."""

from __future__ import annotations

import ctypes
import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.service import decoding_process
from tests.image_files import encoded, grey_tiff, png, scene
from tests.retrieval.service.conftest import StartService

KEEP = "/v1/catalogs/shop/pictures"
SEARCH = "/v1/catalogs/shop/search"

PICTURE = encoded(scene(), "JPEG")


def upload(client: TestClient, data: bytes, name: str = "a.png", kind: str = "image/png") -> Any:
    return client.post(KEEP, files={"image": (name, data, kind)})


# Bombs


def _zeros(width: int, height: int) -> bytes:
    """Return the file of a white PNG, small for its pixels, without holding them."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    whole = png(width, height, 1, 0, b"")
    empty = zlib.compress(b"")
    chunk = (
        struct.pack(">I", len(empty))
        + b"IDAT"
        + empty
        + struct.pack(">I", zlib.crc32(b"IDAT" + empty))
    )
    filled = (
        struct.pack(">I", len(packed))
        + b"IDAT"
        + packed
        + struct.pack(">I", zlib.crc32(b"IDAT" + packed))
    )
    return whole.replace(chunk, filled)


def _gif(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
        + b"\x02\x02\x4c\x01\x00;"
    )


def _webp(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    data = b"\x2f" + struct.pack("<I", bits) + bytes(8)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


BOMBS = {
    "a PNG that can be decoded": _zeros(12_000, 12_000),
    "a PNG of 4 gigapixels": png(65_535, 65_535, 8, 6, b""),
    "a PNG of the largest sides": png(2**31 - 1, 2**31 - 1, 16, 6, b""),
    "a GIF": _gif(65_535, 65_535),
    "a WebP": _webp(16_384, 16_384),
    "a TIFF": grey_tiff(100_000, 100_000, 32, 3, 1, b""),
    "a TIFF of the largest sides": grey_tiff(2**32 - 1, 2**32 - 1, 8, 1, 1, b""),
    "a BMP": b"BM" + struct.pack("<IIIIiiHH24x", 54, 0, 54, 40, 60_000, 60_000, 1, 24),
    "a PPM": b"P6 99999 99999 255\n",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(client: TestClient, name: str) -> None:
    data = BOMBS[name]
    assert len(data) < 100_000
    answer = upload(client, data)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    searched = client.post(f"{SEARCH}/upload", files={"image": data})
    assert searched.status_code == 422


def test_text_in_a_png_is_no_bomb(client: TestClient) -> None:
    text = b"zTXtComment\0\0" + zlib.compress(bytes(100_000_000))
    answer = upload(client, png(1, 1, 8, 0, b"\0\0", text))
    assert answer.status_code in {201, 422}


def test_an_animation_is_its_first_frame(client: TestClient) -> None:
    frames = [Image.new("P", (300, 300), each % 256) for each in range(300)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    assert upload(client, buffer.getvalue()).status_code == 201


# What is damaged


def test_pictures_cut_anywhere(client: TestClient) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF"):
        data = encoded(scene(), kind)
        for cut in (1, 10, len(data) // 3, len(data) // 2, len(data) - 3):
            assert upload(client, data[:cut]).status_code in {201, 422}


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "TGA", "ICO"]),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_pictures_damaged_anywhere(
    client: TestClient, kind: str, places: list[tuple[float, int]]
) -> None:
    data = bytearray(encoded(scene(32, 24), kind))
    for place, value in places:
        data[int(place * len(data))] = value
    answer = upload(client, bytes(data))
    assert answer.status_code in {201, 422}


# Decoders that fail


def _sleep(*_: object) -> None:
    time.sleep(60)


def _spin(*_: object) -> None:
    while True:
        pass


def _crash(*_: object) -> None:
    ctypes.string_at(0)


def _leave(*_: object) -> None:
    os._exit(3)


def _grow(*_: object) -> None:
    np.ones(2**33)


@pytest.mark.parametrize(
    ("function", "told", "reason"),
    [
        (_sleep, "reading the image took longer than 0.5 s", "slow"),
        (_spin, "reading the image took longer than 0.5 s", "slow"),
        (_crash, "the image crashes its decoder", "crash"),
        (_leave, "the image crashes its decoder", "crash"),
        (_grow, "the image takes too much memory", "memory"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_picture_that_breaks_its_decoder_breaks_nothing_else(
    start: StartService,
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[..., None],
    told: str,
    reason: str,
) -> None:
    client = start(limits={"decode_seconds": 0.5})

    def failures() -> float:
        wanted = f'finetag_decode_failures_total{{reason="{reason}"}}'
        lines = client.get("/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(wanted)), 0.0)

    before = failures()
    with monkeypatch.context() as patch:
        patch.setattr(decoding_process, "size", function)
        answer = upload(client, PICTURE)
    assert answer.status_code == 422
    assert answer.json()["detail"] == told
    assert failures() == before + 1
    deadline = time.monotonic() + 30  # a new process starts
    while (status := upload(client, PICTURE).status_code) != 201:
        assert status == 422
        assert time.monotonic() < deadline


# What is no picture, or more than one

SCRIPT = b"<script>alert(document.domain)</script>"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "image/svg+xml"),
        (b"<!doctype html>" + SCRIPT, "text/html"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "application/postscript"),
        (b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n", "application/pdf"),
        (b"\xd7\xcd\xc6\x9a" + bytes(100), "image/wmf"),
        (b"PK\x03\x04" + bytes(100), "application/zip"),
        (b"\x7fELF" + bytes(100), "image/png"),
        (b"", "image/png"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
    ],
)
def test_what_is_no_picture_is_refused(client: TestClient, data: bytes, kind: str) -> None:
    answer = upload(client, data, "a.png", kind)
    assert answer.status_code == 422
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert b"script" not in answer.content


@pytest.mark.parametrize(
    "data",
    [
        PICTURE + SCRIPT,
        PICTURE[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(SCRIPT)) + SCRIPT + PICTURE[2:],
        png(1, 1, 8, 0, b"\0\0", b"tEXtComment\0" + SCRIPT),
        encoded(scene(), "GIF", comment=SCRIPT),
        encoded(scene(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + SCRIPT),
    ],
)
def test_what_is_a_page_too_comes_back_as_a_picture_alone(client: TestClient, data: bytes) -> None:
    kept = upload(client, data, "a.html", "text/html")
    assert kept.status_code == 201
    answer = client.get(f"{KEEP}/{kept.json()['token']}/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert b"script" not in answer.content


# Forms

PART = b"--x\r\nContent-Disposition: form-data"
FILE = PART + b'; name="image"; filename="a"\r\n'
QUERY = PART + b'; name="query"\r\n\r\n'
END = b"\r\n--x--"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x--",
        b"--x\r\n\r\n" + END,
        PART + b'; name="image"\r\n\r\n',
        PART + b'; name="image"\r\n\r\ntext' + END,
        PART + b"\r\n\r\na" + END,
        FILE + b"X: " + b"y" * 900_000,
        b"--x\r\n" + b"X: y\r\n" * 100_000,
        PART + b'; name="\xff\xfe"; filename="\x00"\r\n\r\na' + END,
        QUERY + b"[" * 900_000 + END,
        QUERY + b"1" * 1_100_000,
        (PART + b'; name="a"\r\n\r\n\r\n') * 2_000 + b"--x--",
        (FILE + b"\r\n\r\n") * 2_000 + b"--x--",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_hostile_forms(client: TestClient, body: bytes) -> None:
    for path in (KEEP, f"{SEARCH}/upload"):
        for boundary in ("x", "", "y" * 10_000):
            kind = f"multipart/form-data; boundary={boundary}"
            answer = client.post(path, content=body, headers={"content-type": kind})
            assert 400 <= answer.status_code < 500
            assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\x00b", "..\\..\\a", "a" * 10_000, "\ud800", ""]
)
def test_a_file_name_is_not_used(client: TestClient, name: str) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="'
        + name.encode("utf-8", "surrogatepass")
        + b'"\r\n\r\n'
        + PICTURE
        + b"\r\n--x--"
    )
    kind = "multipart/form-data; boundary=x"
    answer = client.post(KEEP, content=body, headers={"content-type": kind})
    assert answer.status_code in {201, 400, 422}
    assert "passwd" not in answer.text
