"""Reads the text form of a filter, such as `underparts_color=grey AND NOT price<50`.

By recursive descent: OR binds least, then AND, then NOT. `docs/search.md` has the grammar. How a
tree is written as text is in `tree`.
"""

from __future__ import annotations

from finetag_model.errors import UsageError
from retrieval.where.names import Names, WhereError, shown
from retrieval.where.spelling import constant, written
from retrieval.where.tokens import SYMBOLS, PlacedError, Token, tokens
from retrieval.where.tree import (
    DEEPEST,
    ORDERS,
    Compare,
    Filter,
    Has,
    Not,
    Value,
    all_of,
    any_of,
    too_deep,
)

_MOST_WORDS = 8
"""Of a name that is looked for where AND or OR may have been forgotten."""


def parse(text: str, names: Names) -> Filter:
    """Read a filter.

    Args:
        text: the filter.
        names: what it may name.

    Raises:
        UsageError: it cannot be read, or names what is not there; the message shows where, and
            what is near.
    """
    parser = _Parser(text, names)
    try:
        return parser.read()
    except PlacedError:
        raise
    except WhereError as mistake:
        raise parser.fault(mistake.what, mistake.advice) from None
    except UsageError as error:  # of a node that cannot be
        what, _, advice = str(error).partition("; ")
        raise parser.fault(what, advice or "write it otherwise") from None


class _Parser:
    """One reading of one text; `_at` is the place of the token looked at."""

    def __init__(self, text: str, names: Names) -> None:
        self._text = text
        self._names = names
        self._tokens: list[Token] = []
        self._at = 0

    def read(self) -> Filter:
        self._tokens = tokens(self._text)
        tree = self._alternatives(0)
        if self._token.kind == ")":
            raise self.fault("a ) that closes nothing", "take it away, or open it with (")
        if self._token.kind != "end":
            raise self._missing_keyword()
        return tree

    def fault(self, what: str, advice: str, token: Token | None = None) -> PlacedError:
        """Return what is wrong at a token, by default at the one looked at."""
        start = (token or self._token).start if self._tokens else 0
        return PlacedError(self._text, start, what, advice)

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is_next(self, kind: str, *texts: str) -> bool:
        """Say whether the token is of a kind, and one of the texts if there are any; take it."""
        token = self._token
        is_next = token.kind == kind and (not texts or token.text in texts)
        self._at += is_next and kind != "end"
        return is_next

    def _missing_keyword(self, token: Token | None = None) -> PlacedError:
        token = token or self._token
        advice = "write one, or put a name or value of several words in quotes"
        return self.fault(f"AND or OR is missing before {_called(token)}", advice, token)

    def _alternatives(self, depth: int) -> Filter:
        terms = [self._conjunction(depth)]
        while self._is_next("keyword", "OR"):
            terms.append(self._conjunction(depth))
        return any_of(tuple(terms))

    def _conjunction(self, depth: int) -> Filter:
        terms = [self._term(depth)]
        while self._is_next("keyword", "AND"):
            terms.append(self._term(depth))
        return all_of(tuple(terms))

    def _term(self, depth: int) -> Filter:
        if depth > DEEPEST:
            raise too_deep()
        opening = self._token
        if self._is_next("keyword", "NOT"):
            return Not(self._term(depth + 1))
        if not self._is_next("("):
            return self._comparison()
        tree = self._alternatives(depth + 1)
        if self._is_next(")"):
            return tree
        if self._token.kind == "end":
            raise self.fault("a parenthesis that is not closed", "end it with )", opening)
        raise self._missing_keyword()

    def _comparison(self) -> Filter:
        first = self._token
        name = self._phrase(f"write one such as {self._names.example()}", "a condition")
        group = self._names.group(name)
        field = self._names.field(name) if group is None else None
        known = group or field
        if known is None:
            if first.kind == "word" and constant(name) is not None and self._token.kind == "symbol":
                advice = "write the field first, as in price>0 AND price<50"
                raise self.fault(f"{shown(name)} on the left", advice, first)
            head, colon, _ = first.text.partition(":")
            if colon and first.kind == "word" and self._names.is_name(head):
                raise PlacedError(
                    self._text, first.start + len(head), "unknown operator ':'", "write ="
                )
            raise self._placed(self._names.unknown(name), first)
        symbol = self._token
        if not self._is_next("symbol"):
            advice = f"write {written(known)}=… with a value, or another of {' '.join(SYMBOLS)}"
            raise self.fault(f"{shown(known)} is compared with nothing", advice)
        tree = self._of_field(known, symbol) if group is None else self._of_group(known, symbol)
        if self._token.kind == "symbol":
            what = f"a second comparison {shown(self._token.text)}"
            raise self.fault(what, "compare once, and join comparisons with AND or OR")
        return tree

    def _of_group(self, group: str, symbol: Token) -> Filter:
        if symbol.text not in {"=", "!="}:
            what = f"{shown(group)} is an attribute, which {shown(symbol.text)} does not compare"
            advice = f"write {group}=value, or {group}=value>=0.8 for a confidence"
            raise self.fault(what, advice, symbol)
        values: list[str] = []
        while not values or self._is_next(","):
            token = self._token
            value = self._value(f"{group} has {self._names.examples(group)}", group)
            try:
                values.append(self._names.value(group, value))
            except WhereError as mistake:
                raise self._placed(mistake, token) from None
        sure = self._token
        if not self._is_next("symbol", ">="):
            has = Has(group, tuple(values))
            return has if symbol.text == "=" else Not(has)
        if symbol.text == "!=":
            what, advice = "'>=' after '!='", f"write NOT {group}={values[0]}>=… for what is meant"
            raise self.fault(what, advice, sure)
        return Has(group, tuple(values), self._confidence())

    def _confidence(self) -> float:
        token = self._token
        number = constant(token.text) if token.kind == "word" else None
        if number is None or isinstance(number, bool) or not 0 <= number <= 1:
            what = f"{_called(token)} is no confidence"
            raise self.fault(what, "write a number from 0 to 1, such as 0.8", token)
        self._at += 1
        return number

    def _of_field(self, field: str, symbol: Token) -> Filter:
        op = "=" if symbol.text == "!=" else symbol.text
        values: list[Value] = []
        while not values or self._is_next(","):
            token = self._token
            if values and op in ORDERS:
                what = f"{shown(op)} compares with one value"
                raise self.fault(what, "write a comparison for each, joined by OR", token)
            text = self._value(f"write one after {symbol.text}")
            value = text if token.kind == "quoted" else self._bare(field, op, text)
            try:
                Compare(field, op, (value,))
                self._names.check(field, op, value)
            except WhereError as mistake:
                raise self._placed(mistake, token) from None
            except UsageError as error:
                raise self.fault(str(error), "compare it with another value", token) from None
            values.append(value)
        compare = Compare(field, op, tuple(values))
        return Not(compare) if symbol.text == "!=" else compare

    def _bare(self, field: str, op: str, text: str) -> Value:
        """Return the value that is meant without quotes.

        A number is a text only where it is looked up in a field without numbers, such as one
        of article numbers; in order, 9 would come after 10.
        """
        number = None if op == "~" else constant(text)
        if number is None or (op == "=" and not self._names.holds_numbers(field)):
            return text
        return number

    def _value(self, advice: str, group: str | None = None) -> str:
        """Take the text of a value; what follows it must not be a comparison of its last words."""
        start = self._at
        if self._token.kind == "keyword":
            advice = "put it in quotes if it is one"
        value = self._phrase(advice, "a value")
        words = self._tokens[start : self._at]
        is_sure = self._token.text == ">=" and group and self._names.is_value(group, value)
        if len(words) > 1 and self._token.kind == "symbol" and not is_sure:
            raise self._missing_keyword(self._name_at_end(words))
        return value

    def _name_at_end(self, words: list[Token]) -> Token:
        """Return where the name begins that the last words are, such as `size` in `5 size`."""
        for i in range(max(1, len(words) - _MOST_WORDS), len(words)):
            if self._names.is_name(" ".join(word.text for word in words[i:])):
                return words[i]
        return words[-1]

    def _phrase(self, advice: str, needed: str) -> str:
        """Take a quoted text, or the bare words up to what is none."""
        if self._token.kind == "quoted":
            self._at += 1
            return self._tokens[self._at - 1].text
        words = []
        while self._token.kind == "word":
            words.append(self._token.text)
            self._at += 1
        if not words:
            raise self.fault(f"{needed} is missing before {_called(self._token)}", advice)
        return " ".join(words)

    def _placed(self, mistake: WhereError, token: Token) -> PlacedError:
        return self.fault(mistake.what, mistake.advice, token)


def _called(token: Token) -> str:
    """Return how a message calls a token."""
    return "the end" if token.kind == "end" else shown(token.text)
