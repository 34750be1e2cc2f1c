"""Answers for other programs: one JSON value, JSON a line, or paths; for people see `listing`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import click
from rich.console import Console
from rich.text import Text

from finetag_model.console import printable
from retrieval.answer import Answer
from retrieval.listing import print_answer, summary

Form = Literal["table", "json", "jsonl", "paths"]


def print_json(value: object) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, indent=2))


def print_lines(
    answer: Answer, form: Form, *, null: bool = False, about: Mapping[str, Any] | None = None
) -> None:
    """Print each hit on a line of its own, and on stderr why there is none.

    Args:
        answer: what was found.
        form: `paths`, as the bytes that the system knows them by; or else JSON.
        null: end paths with a zero byte, which is in no path, and not with a line feed.
        about: what each line of JSON says of the search.
    """
    for hit in answer.hits:
        if form == "paths":
            click.echo(os.fsencode(hit.path) + (b"\0" if null else b"\n"), nl=False)
        else:
            click.echo(json.dumps({**(about or {}), **hit.as_dict()}))
    if not answer.hits:
        click.echo(summary(answer), err=True)


def print_each(
    answers: Sequence[tuple[str, Answer]], form: Form, console: Console, *, null: bool = False
) -> None:
    """Print the answers to several queries, each under or with its name."""
    if form == "json":
        print_json([{"query": name, **answer.as_dict()} for name, answer in answers])
        return
    for i, (name, answer) in enumerate(answers):
        if form == "table":
            console.print(Text(("\n" if i else "") + printable(name), style="bold"), soft_wrap=True)
            print_answer(answer, console)
        else:
            print_lines(answer, form, null=null, about={"query": name})
