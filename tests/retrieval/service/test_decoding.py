"""Pictures read in other processes are the same, and one that hangs or crashes is alone in it."""

from __future__ import annotations

import io
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from finetag_model.errors import FineTagError, ImageError, UsageError
from retrieval.query import read_pixels
from retrieval.service.decoding import PROCESSES, Decoder
from retrieval.service.settings import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(Limits(pixels=1_000_000))
    yield made
    made.close()


@pytest.fixture
def impatient() -> Iterator[Decoder]:
    made = Decoder(Limits(decode_seconds=0.5))
    yield made
    made.close()


@pytest.fixture
def picture() -> bytes:
    """A photograph-like JPEG, which is to be turned when it is shown."""
    noise = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((600, 400))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file whose bytes never come."""
    path = tmp_path / "endless.jpg"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("crop", [None, (0.1, 0.2, 0.5, 0.4), (30, 40, 200, 100)])
def test_pixels_are_those_of_the_library(
    decoder: Decoder, picture: bytes, tmp_path: Path, crop: tuple[float, float, float, float] | None
) -> None:
    expected = read_pixels(picture, 64, crop)
    np.testing.assert_array_equal(decoder.pixels(picture, 64, crop), expected)
    path = tmp_path / "picture.jpg"
    path.write_bytes(picture)
    np.testing.assert_array_equal(decoder.pixels(path, 64, crop), expected)


def test_sizes_and_small_pictures_are_upright(decoder: Decoder, picture: bytes) -> None:
    assert decoder.size(picture) == (400, 600)
    assert Image.open(io.BytesIO(decoder.jpeg(picture, 200))).size == (133, 200)
    part = decoder.jpeg(picture, 200, (0, 0, 1, 0.5))
    assert Image.open(io.BytesIO(part)).size == (200, 150)


def test_errors_are_those_of_the_library(decoder: Decoder, picture: bytes) -> None:
    with pytest.raises(ImageError, match="not an image in a known format"):
        decoder.size(b"<html>")
    with pytest.raises(ImageError, match="the image"):
        decoder.size(picture[: len(picture) // 2])
    with pytest.raises(UsageError, match="not inside the picture"):
        decoder.pixels(picture, 64, (0, 0, 10_000, 10))


def test_a_picture_of_too_many_pixels_is_not_decoded(decoder: Decoder) -> None:
    buffer = io.BytesIO()
    Image.new("1", (1001, 1000)).save(buffer, "PNG")
    with pytest.raises(ImageError, match="1,001,000 pixels; the most that is taken is 1,000,000"):
        decoder.size(buffer.getvalue())


def test_a_picture_that_hangs_is_cut_off(impatient: Decoder, endless: Path, picture: bytes) -> None:
    with ThreadPoolExecutor(PROCESSES) as pool:
        hanging = [pool.submit(impatient.size, endless) for _ in range(PROCESSES)]
        for each in hanging:
            with pytest.raises(ImageError, match=r"took longer than 0\.5 s"):
                each.result(30)
    assert impatient.size(picture) == (400, 600)


def test_a_crash_costs_its_own_request_alone(decoder: Decoder, picture: bytes) -> None:
    with ThreadPoolExecutor(12) as pool:
        every = []
        for at in range(24):
            every.append(pool.submit(decoder.size, picture))
            if at % 8 == 3:
                every.append(pool.submit(decoder._run, os.abort))
        outcomes = [each.exception(60) for each in every]
    crashed = [each for each in outcomes if each is not None]
    assert [str(each) for each in crashed] == ["the image crashes its decoder"] * 3
    assert all(isinstance(each, ImageError) for each in crashed)


def test_processes_killed_from_outside_are_replaced(decoder: Decoder, picture: bytes) -> None:
    for _ in range(3):
        victims = {decoder._run(os.getpid) for _ in range(4)}
        for each in victims:
            os.kill(each, signal.SIGKILL)
        assert decoder.size(picture) == (400, 600)


def test_a_picture_that_takes_too_much_memory_is_refused(picture: bytes) -> None:
    decoder = Decoder(Limits(), memory=1 << 30)
    try:
        with pytest.raises(ImageError, match="too much memory"):
            decoder._run(bytes, 2 << 30)
        assert decoder.size(picture) == (400, 600)
    finally:
        decoder.close()


def test_closing_tells_whoever_waits(endless: Path, picture: bytes) -> None:
    decoder = Decoder(Limits())
    decoder.size(picture)
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(decoder.size, endless) for _ in range(PROCESSES + 2)]
        while len(decoder._waiting) < PROCESSES + 2:
            time.sleep(0.01)
        decoder.close()
        for each in waiting:
            with pytest.raises(FineTagError, match="being shut down"):
                each.result(30)
    with pytest.raises(FineTagError, match="being shut down"):
        decoder.size(picture)
