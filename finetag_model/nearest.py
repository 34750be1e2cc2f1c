"""What a user may have meant by a name that is not known; for messages that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three of the known names most like `name`, or all of them if none is."""
    names = sorted(known)
    return difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
