from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetag_model.cub import read_cub, read_full_labels, read_ids, read_labels, read_vocabulary
from finetag_model.errors import DataError

CUB = Path(__file__).parents[2].parent / "shared" / "data" / "cub127"
MakeCub = Callable[..., Path]
LABELS = "CUB_200_2011/attributes/image_attribute_labels.txt"


def refusal(read: Callable[[], object]) -> str:
    """The message of the DataError that reading must raise; one line."""
    with pytest.raises(DataError) as error:
        read()
    message = str(error.value)
    assert "\n" not in message
    return message


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


@pytest.mark.parametrize("inside", ["", "CUB_200_2011"])
def test_reads_the_official_layout(make_cub: MakeCub, inside: str) -> None:
    folder = make_cub(images=12)
    cub = read_cub(folder / inside)
    assert len(cub) == 12
    assert cub.vocabulary.names[:2] == ("upper_color=red", "upper_color=green")
    assert cub.image_ids.tolist() == list(range(1, 13))
    assert cub.class_ids.tolist() == [2, 1] * 6
    assert cub.paths[4] == folder / "CUB_200_2011" / "images" / "002.Kind" / "bird 0005.png"
    assert all(path.is_file() for path in cub.paths)
    assert cub.boxes.dtype == np.float32
    assert cub.boxes.tolist() == [[8, 8, 32, 24]] * 12
    assert np.flatnonzero(~cub.is_train).tolist() == [3, 7, 11]
    assert cub.presence.dtype == np.float32
    assert cub.presence[4].tolist() == [0, 0, 1, 0, 1, 0]  # image 5: upper 5 % 3, lower 5 // 3
    assert cub.certainty.dtype == np.uint8
    assert cub.certainty[4].tolist() == [4] * 6


@pytest.mark.parametrize("place", ["", "CUB_200_2011", "CUB_200_2011/attributes"])
def test_attributes_may_lie_in_three_places(make_cub: MakeCub, place: str) -> None:
    folder = make_cub()
    (folder / "attributes.txt").rename(folder / place / "attributes.txt")
    assert len(read_cub(folder).vocabulary) == 6
    (folder / place / "attributes.txt").unlink()
    assert "no attributes.txt in" in refusal(lambda: read_cub(folder))


def test_lines_of_the_archive_with_more_columns(make_cub: MakeCub) -> None:
    folder = make_cub()
    expected = read_cub(folder)
    edit(
        folder / LABELS,
        lambda lines: [*lines[:3], f"{lines[3]} 7.108", f"{lines[4]} 0 9.5", *lines[5:]],
    )
    cub = read_cub(folder)
    np.testing.assert_array_equal(cub.presence, expected.presence)
    np.testing.assert_array_equal(cub.certainty, expected.certainty)


def test_a_label_without_a_row_is_unknown(make_cub: MakeCub) -> None:
    folder = make_cub()
    expected = read_cub(folder).presence
    edit(folder / LABELS, lambda lines: [line for line in lines if line.split()[:2] != ["3", "2"]])
    cub = read_cub(folder)
    assert np.isnan(cub.presence[2, 1])
    assert cub.certainty[2, 1] == 0
    expected[2, 1] = np.nan
    np.testing.assert_array_equal(cub.presence, expected)


def test_rows_of_images_left_out_are_passed_over(make_cub: MakeCub) -> None:
    folder = make_cub()
    whole = read_cub(folder)
    edit(folder / "CUB_200_2011" / "images.txt", lambda lines: [lines[9], lines[2], lines[4]])
    part = read_cub(folder)
    assert part.image_ids.tolist() == [3, 5, 10]
    rows = [2, 4, 9]
    np.testing.assert_array_equal(part.presence, whole.presence[rows])
    np.testing.assert_array_equal(part.class_ids, whole.class_ids[rows])
    np.testing.assert_array_equal(part.is_train, whole.is_train[rows])
    assert part.paths == [whole.paths[row] for row in rows]


def test_validation_is_the_test_split_or_those_listed(make_cub: MakeCub, tmp_path: Path) -> None:
    cub = read_cub(make_cub())
    np.testing.assert_array_equal(cub.validation(None), ~cub.is_train)
    listed = tmp_path / "ids.txt"
    listed.write_text("7\n2\n999\n")
    assert cub.image_ids[cub.validation(listed)].tolist() == [2, 7]
    listed.write_text("999\n")
    message = refusal(lambda: cub.validation(listed))
    assert str(listed) in message
    assert "none of the images" in message


def test_a_split_without_test_images(make_cub: MakeCub) -> None:
    folder = make_cub()
    split = folder / "CUB_200_2011" / "train_test_split.txt"
    edit(split, lambda lines: [f"{line.split()[0]} 1" for line in lines])
    assert "the test split" in refusal(lambda: read_cub(folder).validation(None))


@pytest.mark.parametrize(
    "file",
    [
        "images.txt",
        "image_class_labels.txt",
        "bounding_boxes.txt",
        "train_test_split.txt",
        "attributes/image_attribute_labels.txt",
    ],
)
def test_a_file_that_is_missing_a_folder_or_not_text(make_cub: MakeCub, file: str) -> None:
    folder = make_cub()
    path = folder / "CUB_200_2011" / file
    path.unlink()
    assert str(path) in refusal(lambda: read_cub(folder))
    path.write_bytes(b"\x89PNG\xff\xfe\x00 not \xc3\x28 text")
    assert str(path) in refusal(lambda: read_cub(folder))
    path.unlink()
    path.mkdir()
    assert str(path) in refusal(lambda: read_cub(folder))


def test_a_missing_folder(tmp_path: Path) -> None:
    assert str(tmp_path / "none" / "images.txt") in refusal(lambda: read_cub(tmp_path / "none"))


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("images.txt", "12"),
        ("images.txt", "bird.png"),
        ("images.txt", "x 001.Kind/bird.png"),
        ("../attributes.txt", "one has_color::red"),
    ],
)
def test_a_bad_line_of_names_is_pointed_at(make_cub: MakeCub, file: str, line: str) -> None:
    folder = make_cub()
    path = folder / "CUB_200_2011" / file
    edit(path, lambda lines: [lines[0], lines[1], line, *lines[3:]])
    message = refusal(lambda: read_cub(folder))
    assert path.name in message
    assert "line 3" in message
    assert line in message


@pytest.mark.parametrize(
    "file", ["image_class_labels.txt", "bounding_boxes.txt", "train_test_split.txt"]
)
def test_an_image_without_its_line(make_cub: MakeCub, file: str) -> None:
    folder = make_cub()
    path = folder / "CUB_200_2011" / file
    edit(path, lambda lines: lines[:6] + lines[7:])
    message = refusal(lambda: read_cub(folder))
    assert message == f"{path} has no line for image 7"


@pytest.mark.parametrize("line", ["3 4.0", "3 a b c d", "3"])
def test_a_bad_line_of_numbers_is_pointed_at(make_cub: MakeCub, line: str) -> None:
    folder = make_cub()
    path = folder / "CUB_200_2011" / "bounding_boxes.txt"
    edit(path, lambda lines: [*lines[:2], line, *lines[3:]])
    message = refusal(lambda: read_cub(folder))
    assert str(path) in message
    assert "row 3" in message or "row 2" in message  # NumPy counts either way


@pytest.mark.parametrize(
    "row",
    ["3 0 1 3 0", "3 7 1 3 0", "3 2 2 3 0", "3 2 -1 3 0", "3 2 1 9 0", "3 2 1 -1 0"],
)
def test_an_impossible_label_is_pointed_at(make_cub: MakeCub, row: str) -> None:
    folder = make_cub()
    edit(folder / LABELS, lambda lines: [*lines[:4], row, *lines[5:]])
    message = refusal(lambda: read_cub(folder))
    assert str(folder / LABELS) in message
    assert "line 5" in message


@pytest.mark.parametrize("row", ["3 2 1", "3 2 yes 3", "3 2 nan 3 0"])
def test_a_row_that_is_no_label(make_cub: MakeCub, row: str) -> None:
    folder = make_cub()
    edit(folder / LABELS, lambda lines: [*lines[:4], row, *lines[5:]])
    assert str(folder / LABELS) in refusal(lambda: read_cub(folder))


@pytest.mark.parametrize("file", ["images.txt", "bounding_boxes.txt", LABELS[13:]])
def test_an_empty_file(make_cub: MakeCub, file: str) -> None:
    folder = make_cub()
    path = folder / "CUB_200_2011" / file
    path.write_text("")
    assert str(path) in refusal(lambda: read_cub(folder))


def test_attribute_ids_must_count(tmp_path: Path) -> None:
    path = tmp_path / "attributes.txt"
    path.write_text("1 has_color::red\n3 has_color::blue\n")
    assert refusal(lambda: read_vocabulary(path)).startswith(f"{path}: attribute ids do not count")


def test_attribute_names_must_be_those_of_cub(tmp_path: Path) -> None:
    path = tmp_path / "attributes.txt"
    path.write_text("1 has_color::red\n2 blue\n")
    assert "'blue' is not a CUB attribute name" in refusal(lambda: read_vocabulary(path))


def test_full_labels_of_other_images(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("9 2 1 4 0\n9 1 0 4 0\n4 1 1 3 0\n4 2 1 1 0\n")
    assert read_full_labels(path, 2).tolist() == [[1, 1], [0, 1]]
    assert "does not label all 3 attributes" in refusal(lambda: read_full_labels(path, 3))
    assert str(tmp_path / "none") in refusal(lambda: read_full_labels(tmp_path / "none", 2))


def test_ids_come_ascending_and_once(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("7\n3 and more\n7\n")
    ids = read_ids(path)
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 7]
    path.write_text("three\n")
    assert str(path) in refusal(lambda: read_ids(path))


def test_labels_of_none_of_the_images(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("9 1 1 4 0\n")
    presence, certainty = read_labels(path, np.array([3, 5]), 1)
    assert np.isnan(presence).all()
    assert certainty.tolist() == [[0], [0]]


@pytest.mark.skipif(not CUB.is_dir(), reason="the photographs are not beside the repository")
def test_the_real_photographs() -> None:
    cub = read_cub(CUB)
    assert len(cub) == 7_084
    assert len(cub.vocabulary) == 312
    assert len(cub.vocabulary.groups) == 28
    known = ~np.isnan(cub.presence)
    full = cub.validation(CUB / "fully_labelled.txt")
    assert full.sum() == 373
    np.testing.assert_array_equal(known.all(axis=1), full)
    assert known.any(axis=1).all()
    assert cub.certainty[full].max() <= 4
    reference = read_full_labels(CUB / "unpictured_image_attribute_labels.txt", 312)
    assert reference.shape == (453, 312)
