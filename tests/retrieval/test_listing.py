"""The table of a terminal and the lines of a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from finetag_model.console import printable
from retrieval.answer import Answer, Explanation, Hit, Part
from retrieval.facets import Facet
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


def test_headings_are_folded_before_the_table_is_given_up() -> None:
    answer = answer_of(NAMES[0], where=("underparts_color=grey", "wing_pattern=solid"))
    wide, narrow = (printed(answer, terminal=True, width=width) for width in (100, 72))
    assert [line.split() for line in wide[1:3]] == [
        ["underparts_color", "wing_pattern"],
        ["#", "image", "similarity", "grey", "solid", "id"],
    ]
    assert [line.split() for line in narrow[1:4]] == [
        ["underparts", "wing"],
        ["color", "pattern"],
        ["#", "image", "similarity", "grey", "solid", "id"],
    ]
    assert all(len(line) <= 72 for line in narrow[:-1])


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


def explained(*parts: tuple[str, float | None, float, float], looks: float | None) -> Explanation:
    return Explanation(looks, tuple(Part(*part) for part in parts))


def with_hits(answer: Answer, **changes: object) -> Answer:
    return replace(answer, hits=tuple(replace(hit, **changes) for hit in answer.hits))


def rows_of(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def test_columns_are_there_as_they_are_needed() -> None:
    answer = with_hits(
        answer_of("a.png"),
        score=0.5,
        group="Lynx",
        grouped=1234,
        fields={"price": 12.5, "tags": ["new", "sale"]},
    )
    file = io.StringIO()
    console = Console(file=file, width=200)
    print_answer(answer, console, fields=["price", "brand", "tags"])
    heading, row, *_ = file.getvalue().splitlines()
    assert heading.split() == [
        *("#", "image", "score", "similarity", "size=small"),
        *("price", "brand", "tags", "group", "others", "id"),
    ]
    assert row.split() == [
        *("1", "a.png", "0.500", "0.875", "0.625", "12.5"),
        *("new,", "sale", "Lynx", "+1,234", "0"),
    ]
    alike = printed(with_hits(answer_of("a.png"), near_duplicates=3), terminal=False, width=80)
    assert rows_of(alike[:2]) == [
        ["#", "image", "similarity", "size=small", "alike", "id"],
        ["1", "a.png", "0.875", "0.625", "+3", "0"],
    ]
    nameless = printed(with_hits(answer_of("a.png"), grouped=2), terminal=False, width=80)
    assert nameless[1].split()[-3:] == ["none", "+2", "0"]


def test_the_joint_probability_of_several_attributes_is_a_score() -> None:
    where = ("size=small", "wing_color=grey")
    answer = with_hits(answer_of("a.png", similar=False, where=where), score=0.25)
    assert printed(answer, terminal=False, width=80)[0].split()[2] == "score"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2024, "2024"), (2024.0, "2024"), (0.1, "0.1"), (1e300, str(int(1e300))), (True, "True")],
)
def test_numbers_that_were_imported_are_shown_whole(value: float, shown: str) -> None:
    file = io.StringIO()
    answer = with_hits(answer_of("a.png", where=()), fields={"year": value})
    print_answer(answer, Console(file=file, width=400), fields=["year"])
    assert file.getvalue().splitlines()[1].split()[3] == shown


@pytest.mark.parametrize("terminal", [False, True])
def test_an_explanation_adds_up_below_the_table(terminal: bool) -> None:
    parts = [(f"size={i}", 0.9, 0.5, 0.05) for i in range(7)]
    answer = with_hits(
        answer_of("a.png", where=()), score=0.75, explanation=explained(*parts, looks=0.4)
    )
    lines = printed(answer, terminal=terminal, width=100)
    start = next(i for i, line in enumerate(lines) if "why" in line)
    assert lines[start - 1] == ""
    assert rows_of(lines[start:-2]) == [
        ["#", "why", "query", "hit", "part"],
        ["1", "looks", "0.400"],
        *(["size=" + str(i), "0.90", "0.50", "0.050"] for i in range(5)),
        ["2", "more", "0.100"],
    ]
    assert lines[-2] == ""


def test_an_explanation_by_looks_alone_has_no_parts() -> None:
    parts = [("size=small", 0.9, 0.5, 0.0)] * 6
    answer = with_hits(answer_of("a.png"), explanation=explained(*parts, looks=0.875))
    lines = printed(answer, terminal=False, width=100)
    assert rows_of(lines[3:10]) == [
        ["#", "why", "query", "hit"],
        ["1", "size=small", "0.90", "0.50"],
        *[["size=small", "0.90", "0.50"]] * 4,
        [],
    ]


def test_an_explanation_without_a_picture_has_no_query() -> None:
    answer = with_hits(
        answer_of("a.png", similar=False),
        explanation=explained(("size=small", None, 0.625, 0.625), looks=None),
    )
    lines = printed(answer, terminal=False, width=100)
    assert rows_of(lines[3:5]) == [["#", "why", "hit"], ["1", "size=small", "0.62"]]


def test_facets_are_aligned_below() -> None:
    facets = (
        Facet("size", "attribute", (("small", 1200), ("large", 0)), 1200, 2),
        Facet("brand", "text", (("Black & Tan", 3), ("\x1b[2J", 1)), 9, 40),
        Facet("price", "number", (), 7, 0, 0.5, 60.0),
        Facet("year", "number", (), 2, 0, 2024.0, 2024.0),
        Facet("weight", "number", (), 0, 0),
    )
    lines = printed(replace(answer_of("a.png"), facets=facets), terminal=False, width=20)
    assert lines[3:-2] == [
        "size    small           1,200",
        "brand   Black & Tan         3",
        "brand   \\x1b[2J             1",
        "brand   38 more values      5",
        "price   0.5..60             7",
        "year    2024                2",
        "weight  no value            0",
    ]


def test_the_next_page_is_told_last() -> None:
    lines = printed(replace(answer_of("a.png"), next="abc-_"), terminal=True, width=10)
    assert lines[-1] == "next page: --cursor abc-_"


def test_thumbnails_stand_before_the_name() -> None:
    file = io.StringIO()
    paths = []

    def thumbnail(path: Path) -> str:
        paths.append(path)
        return "<>"

    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    print_answer(answer_of("a.png", "b.png"), console, thumbnail=thumbnail)
    assert set(paths) == {Path("/catalogue/a.png"), Path("/catalogue/b.png")}
    assert any("<>   a.png" in line for line in file.getvalue().splitlines())
