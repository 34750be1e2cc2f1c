"""Small pictures in a terminal, where it can show them; needs the extra `thumbnails`.

Only pictures proper, by Sixel or Kitty's protocol: blocks of colour tell nobody which bird it is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from rich.console import Console, RenderableType
from rich.text import Text

from finetag_model.errors import FineTagError, ImageError
from finetag_model.images import load_rgb

LINES = 4
"""Height of a thumbnail in a terminal's lines."""
COLUMNS = 12
_PIXELS = 400


def can_show(console: Console) -> bool:
    """Say whether the terminal shows pictures; it is asked, which takes a tenth of a second.

    Raises:
        FineTagError: the extra is not installed.
    """
    if not (console.is_terminal and sys.stdin.isatty()):
        return False
    try:
        from textual_image import renderable  # noqa: PLC0415  (asks the terminal)
    except ImportError:
        raise FineTagError(
            "thumbnails are drawn by textual-image, which is not installed; "
            "install FineTag with its extra: pip install 'finetag[thumbnails]'"
        ) from None
    return renderable.Image in {renderable.SixelImage, renderable.TGPImage}


def thumbnail(path: Path) -> RenderableType:
    """Return a picture for a cell of a table; a remark if it can no longer be read."""
    from textual_image.renderable import Image as Shown  # noqa: PLC0415

    try:
        picture = load_rgb(path, at_least=_PIXELS)
    except ImageError:
        return Text("gone", style="dim")
    picture.thumbnail((_PIXELS, _PIXELS), Image.Resampling.LANCZOS)
    # A cell is twice as high as wide, or near it.
    width = min(COLUMNS, round(2 * LINES * picture.width / picture.height))
    return Shown(picture, width=max(1, width), height="auto")
