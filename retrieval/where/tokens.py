"""A filter's text as words, quoted texts and operators, each with its place; and where it is wrong.

What they mean together is for `text` to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len

from finetag_model.console import printable
from retrieval.where.names import WhereError, shown
from retrieval.where.spelling import keyword

SYMBOLS = ("=", "!=", "<", "<=", ">", ">=", "~")
_MEANT = {
    "==": "write =",
    "=>": "write >=",
    "=<": "write <=",
    "<>": "write !=",
    "=~": "write ~",
    "!": "write NOT",
}
_SYMBOL = re.compile(r"[=<>~!]+")
_QUOTED = re.compile(r"""(["'])((?:[^\\]|\\.)*?)\1""", re.DOTALL)
_PART = re.compile(r"(?:[^\s=<>~!,()]|!(?!=))+")
"""Of a bare word; between the parts are parentheses that are closed in the word."""

_AROUND = 36
"""Characters shown on both sides of the one that is wrong."""


@dataclass(frozen=True)
class Token:
    """A piece of a filter's text.

    Attributes:
        kind: `word`, `quoted`, `keyword`, `symbol`, a parenthesis or comma itself, or `end`.
        text: the word, the quoted text without quotes and escapes, AND, OR or NOT, or the symbol.
        start: how many characters come before it.
    """

    kind: Literal["word", "quoted", "keyword", "symbol", "(", ")", ",", "end"]
    text: str
    start: int


class PlacedError(WhereError):
    """A mistake at one character of a text, which the message shows."""

    def __init__(self, text: str, start: int, what: str, advice: str) -> None:
        super().__init__(what, advice, f" at character {start + 1}")
        before = printable(text[max(0, start - _AROUND) : start])
        after = printable(text[start : start + _AROUND])
        before = f"{'…' if start > _AROUND else ''}{before}"
        after = f"{after}{'…' if start + _AROUND < len(text) else ''}"
        self.args = (f"{self}\n  {before}{after}\n  {' ' * cell_len(before)}^",)


def tokens(text: str) -> list[Token]:
    """Cut a filter's text into its pieces; the last is of kind `end`.

    Raises:
        PlacedError: a quote is not closed, or there is no such operator.
    """
    closing = _closing(text)
    found: list[Token] = []
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return [*found, Token("end", "", at)]
        token, at = _token(text, at, closing)
        found.append(token)


def _token(text: str, start: int, closing: dict[int, int]) -> tuple[Token, int]:
    """Return the token that begins at a place, and where it ends."""
    first = text[start]
    if first in ("(", ")", ","):
        return Token(first, first, start), start + 1  # type: ignore[arg-type]  # one of the kinds
    if first in "\"'":
        quoted = _QUOTED.match(text, start)
        if quoted is None:
            raise PlacedError(text, start, "a quote that is not closed", f"end it with {first}")
        return Token(
            "quoted", re.sub(r"\\(.)", r"\1", quoted[2], flags=re.DOTALL), start
        ), quoted.end()
    symbol = _SYMBOL.match(text, start)
    if symbol:
        if symbol[0] not in SYMBOLS:
            advice = _MEANT.get(symbol[0], f"there are {' '.join(SYMBOLS)}")
            raise PlacedError(text, start, f"unknown operator {shown(symbol[0])}", advice)
        return Token("symbol", symbol[0], start), symbol.end()
    return _word(text, start, closing)


def _word(text: str, start: int, closing: dict[int, int]) -> tuple[Token, int]:
    end = start
    while end < len(text):
        part = _PART.match(text, end)
        if part:
            end = part.end()
        elif end in closing:
            end = closing[end] + 1
        else:
            break
    word = text[start:end]
    known = keyword(word)
    if known:
        return Token("keyword", known, start), end
    if word in {"&", "&&", "|", "||"}:
        advice = f"write {'AND' if '&' in word else 'OR'}, or put it in quotes"
        raise PlacedError(text, start, f"unknown operator {shown(word)}", advice)
    return Token("word", word, start), end


def _closing(text: str) -> dict[int, int]:
    """Return where each parenthesis is closed, if it is by the end of the same word."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    for found in re.finditer(r"[()]|[\s=<>~,]", text):
        if found[0] == "(":
            opened.append(found.start())
        elif found[0] != ")":
            opened.clear()
        elif opened:
            closing[opened.pop()] = found.start()
    return closing
