"""How names and values are written in a filter's text: bare, or in quotes.

The one place that both the reader of texts and the trees' own `str` go by.
"""

from __future__ import annotations

import re

KEYWORDS = ("AND", "OR", "NOT")
"""In any case; a name or value spelt like one needs quotes."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DIGITS = 400
"""Of an integer that is read as one; more than those that float64 reaches, and soon read."""
_PLAIN = re.compile(r"\w[\w./-]*")


def keyword(word: str) -> str | None:
    """Return the keyword that a bare word is, if it is one."""
    return word.upper() if word.upper() in KEYWORDS else None


def constant(word: str) -> float | bool | None:
    """Return the number or truth that a bare value of a field stands for; None for a text."""
    if word.lower() in {"true", "false"}:
        return word.lower() == "true"
    if not _NUMBER.fullmatch(word):
        return None
    if word.lstrip("+-").isdigit() and len(word) <= _DIGITS:
        return int(word)
    return float(word)


def written(text: str) -> str:
    """Write a text so that it is read back the same, in quotes unless it is a plain word."""
    if _PLAIN.fullmatch(text) and keyword(text) is None and constant(text) is None:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def written_value(value: str | float | bool) -> str:
    """Write a field's value; a number bare, so that it is not taken for a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return written(value)
    # Equal numbers are written the same; those of more digits as they are.
    return repr(int(value) if abs(value) < 2**53 and value == int(value) else value)
