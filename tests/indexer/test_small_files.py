"""The set of known contents, and the small files that say where an index's data is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from finetag_model.errors import CatalogueError
from indexer import Index, build
from indexer.known import Known
from indexer.layout import CURRENT, SETTINGS, Pointer
from indexer.schema import embedding
from indexer.settings import Settings
from tests.databases import sqlite_alone

# Few different bytes, so that many hashes differ late, and end in zeros.
hashes = st.lists(st.sampled_from([0, 0, 1, 255]), max_size=32).map(
    lambda some: bytes(some).ljust(32, b"\0")
)


@settings(max_examples=60, deadline=None)
@given(held=st.sets(hashes, max_size=30), others=st.sets(hashes, max_size=10), asked=hashes)
def test_known_contents_are_those_that_the_model_has_embedded(
    held: set[bytes], others: set[bytes], asked: bytes
) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    rest = {"width": 1, "height": 1, "scores": b"", "visual": b""}
    rows = [
        {"content_hash": each.hex(), "model_digest": model, **rest}
        for model, some in (("mine", held), ("another", others))
        for each in some
    ]
    with engine.connect() as connection:
        with connection.begin():
            embedding.create(connection)
            if rows:
                connection.execute(embedding.insert(), rows)
        known = Known(connection, "mine")
    engine.dispose()
    for each in {asked, *held, *others}:
        assert (each in known) == (each in held)


def flipped(data: bytes) -> list[bytes]:
    """Return what one flipped bit may make of some bytes."""
    return [
        data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]


@pytest.mark.parametrize(
    "written", [Settings(), Settings("postgresql+psycopg://me@host/name", "finetag_0123456789ab")]
)
def test_settings_with_a_flipped_bit_are_refused(tmp_path: Path, written: Settings) -> None:
    written.write(tmp_path)
    assert Settings.read(tmp_path) == written
    for damaged in flipped((tmp_path / SETTINGS).read_bytes()):
        (tmp_path / SETTINGS).write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(f"{SETTINGS} is damaged")):
            Settings.read(tmp_path)


def test_an_index_whose_settings_are_damaged_serves_and_is_not_written_to(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    (index_dir / SETTINGS).write_bytes((index_dir / SETTINGS).read_bytes().upper())
    with pytest.raises(CatalogueError, match=r"index\.json is damaged.*'finetag-index repair'"):
        build(catalogue, index_dir, color_embedder)
    assert len(Index.open(index_dir).images(range(5))) == 5


def test_a_pointer_reads_what_it_wrote(tmp_path: Path) -> None:
    assert Pointer.read(tmp_path) is None
    Pointer(17, "0f" * 32).write(tmp_path)
    assert Pointer.read(tmp_path) == Pointer(17, "0f" * 32)


@sqlite_alone
def test_no_flipped_bit_in_the_pointer_leads_a_reader_astray_and_a_build_mends_it(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    good = (index_dir / CURRENT).read_bytes()
    for damaged in flipped(good):
        (index_dir / CURRENT).write_bytes(damaged)
        with pytest.raises(CatalogueError, match="is damaged"):
            Index.open(index_dir)
    for at in (0, 1, 30):  # the number, the blank, the checksum
        (index_dir / CURRENT).write_bytes(flipped(good)[8 * at])
        build(catalogue, index_dir, color_embedder)
        assert Index.open(index_dir).rows == 5
        good = (index_dir / CURRENT).read_bytes()
