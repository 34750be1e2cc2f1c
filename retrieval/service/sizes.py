"""What the addresses of pictures have in common: how large, which part, under which heat."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BeforeValidator

from finetag_model.errors import UsageError
from retrieval.request import Crop

# Of digits pydantic makes a number only where every number will do.
_DIGITS = {"200": 200, "400": 400, "800": 800, "1600": 1600}

Side = Annotated[
    Literal[200, 400, 800, 1600],
    BeforeValidator(lambda given: _DIGITS.get(given, given)),
    Query(description="the longer side in pixels, at most"),
]
CropText = Annotated[
    str | None,
    Query(max_length=100, description="left,top,width,height", examples=["0.2,0.1,0.5,0.8"]),
]
AttributeName = Annotated[str, Query(max_length=200, examples=["wing_color=grey"])]


def read_crop_text(text: str | None) -> Crop | None:
    """Read the crop of an address.

    Raises:
        UsageError: it is not four numbers.
    """
    if text is None:
        return None
    try:
        left, top, width, height = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"the crop {text!r} is not four numbers: left,top,width,height") from None
    return (left, top, width, height)
