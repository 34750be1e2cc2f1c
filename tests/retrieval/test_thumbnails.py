"""Thumbnails, where a terminal shows pictures."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from finetag_model.errors import FineTagError
from retrieval.thumbnails import LINES, can_show, thumbnail


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)


def test_a_pipe_shows_none() -> None:
    assert not can_show(Console(file=io.StringIO()))


@pytest.mark.usefixtures("at_a_terminal")
def test_terminals_that_show_pictures_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from textual_image import renderable  # noqa: PLC0415

    for kind, shows in [("SixelImage", True), ("TGPImage", True), ("HalfcellImage", False)]:
        monkeypatch.setattr(renderable, "Image", getattr(renderable, kind))
        assert can_show(terminal()) == shows


@pytest.mark.usefixtures("at_a_terminal")
def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_image", None)
    with pytest.raises(FineTagError, match=r"pip install 'finetag\[thumbnails\]'"):
        can_show(terminal())


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")  # textual-image's
@pytest.mark.parametrize("kind", ["SixelImage", "HalfcellImage"])
def test_a_picture_fits_into_a_cell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, paint: Callable[..., Path], kind: str
) -> None:
    from textual_image import renderable  # noqa: PLC0415

    monkeypatch.setattr(renderable, "Image", getattr(renderable, kind))
    for size in [(300, 100), (100, 300), (1, 1)]:
        console = terminal()
        path = paint(tmp_path / f"{size[0]}.png", "red", "blue", size=size)
        table = Table(box=None, show_header=False)
        table.add_row(thumbnail(path), path.name)
        console.print(table)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert path.name in text
        assert text.count("\n") <= LINES + 1
        assert ("\x1bP" in text) == (kind == "SixelImage")


def test_a_picture_that_is_gone(tmp_path: Path) -> None:
    assert str(thumbnail(tmp_path / "none.png")) == "gone"
