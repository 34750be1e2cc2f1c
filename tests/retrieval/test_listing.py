"""The table of a terminal and the lines of a pipe."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from finetag_model.console import printable
from retrieval.answer import Answer, Hit
from retrieval.listing import print_answer, summary

NAMES = (
    "085.Horned_Lark/Horned_Lark_0012_74393_and_a_tail_that_is_rather_long.jpg",
    "a b/[bold]not markup[/bold].png",
    "日本語/写真.webp",
)


def answer_of(
    *names: str, similar: bool = True, where: tuple[str, ...] = ("size=small",)
) -> Answer:
    hits = tuple(
        Hit(
            rank=i + 1,
            id=i,
            path=Path("/catalogue") / name,
            name=name,
            score=0.875 if similar else 0.625,
            similarity=0.875 if similar else None,
            attributes=dict.fromkeys(where, 0.625),
            width=4,
            height=3,
        )
        for i, name in enumerate(names)
    )
    reason = None if names else "no image has size=small"
    times = {"filter": 1.0, "search": 2.25}
    return Answer(
        hits=hits,
        total=1234,
        where=where,
        plan="exact over 1,234 of 7,084 images",
        exact=True,
        recall=1.0,
        reason=reason,
        generation=3,
        milliseconds=times,
        filter=" AND ".join(where),
    )


def printed(answer: Answer, *, terminal: bool, width: int) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None)
    print_answer(answer, console)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 80, 300])
def test_a_pipe_gets_each_hit_whole_on_one_line(width: int) -> None:
    heading, *lines, last = printed(answer_of(*NAMES), terminal=False, width=width)
    assert heading.split() == ["#", "image", "similarity", "size=small", "id"]
    assert len(lines) == len(NAMES)
    for rank, (line, name) in enumerate(zip(lines, NAMES, strict=True), start=1):
        assert line.startswith(f"{rank}  {name}  ")
        assert line.split()[-3:] == ["0.875", "0.625", str(rank - 1)]
    assert last == "3 of 1,234 matches · exact over 1,234 of 7,084 images · 3.2 ms"


def test_a_wide_terminal_gets_a_table() -> None:
    lines = printed(answer_of(*NAMES), terminal=True, width=120)
    assert any(set(line.strip()) == {"─"} for line in lines)
    assert all(any(name in line for line in lines) for name in NAMES)


def test_a_long_name_wraps_whole_inside_its_column() -> None:
    lines = printed(answer_of(*NAMES), terminal=True, width=60)
    assert any(set(line.strip()) == {"─"} for line in lines)
    assert all(len(line) <= 60 for line in lines[:-2])
    start = next(i for i, line in enumerate(lines) if "085.Horned" in line)
    column = lines[start].index("085.Horned")
    width = lines[start].index("  ", column) - column
    assert "".join(line[column : column + width].strip() for line in lines[start:]).startswith(
        NAMES[0]
    )


def test_a_terminal_too_narrow_for_the_table_gets_plain_lines() -> None:
    where = ("underparts_color=grey", "upperparts_color=grey")
    narrow = printed(answer_of(*NAMES, where=where), terminal=True, width=50)
    assert narrow == printed(answer_of(*NAMES, where=where), terminal=False, width=50)


def test_without_a_query_image_there_is_no_similarity() -> None:
    heading, *_ = printed(answer_of(*NAMES, similar=False), terminal=False, width=80)
    assert heading.split() == ["#", "image", "size=small", "id"]


@pytest.mark.parametrize("terminal", [False, True])
def test_an_empty_answer_is_one_line_with_the_reason(terminal: bool) -> None:
    (line,) = printed(answer_of(), terminal=terminal, width=30)
    assert line == summary(answer_of())
    assert line.startswith("nothing found: no image has size=small · exact over")


def test_a_name_cannot_command_the_terminal() -> None:
    hostile = "a\x1b[2Jb\nc\td\u202ee.jpg"
    assert printable(hostile) == r"a\x1b[2Jb\nc\td\u202ee.jpg"
    text = "\n".join(printed(answer_of(hostile), terminal=True, width=100))
    assert "\x1b[2J" not in text
    assert printable("Grüße, 写真.jpg") == "Grüße, 写真.jpg"
