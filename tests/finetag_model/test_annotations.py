from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finetag_model.annotations import read_annotations
from finetag_model.errors import DataError
from finetag_model.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("color=red", "color=blue", "size=small", "size=large", "shape=owl-like"))
NAN = np.nan


def write(folder: Path, text: str) -> Path:
    path = folder / "attributes.csv"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_annotations(path, VOCABULARY)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_values_named_are_present_and_their_group_mates_absent(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "image,group,value\n"
        "b.jpg,color,red\n"
        "a/x.jpg,size,large\n"
        "b.jpg,color,blue\n"
        "b.jpg,shape,owl-like\n"
        "a/x.jpg,color,blue\n",
    )
    folder = read_annotations(path, VOCABULARY)
    assert folder.paths == [tmp_path / "b.jpg", tmp_path / "a" / "x.jpg"]
    assert folder.presence.dtype == np.float32
    np.testing.assert_array_equal(folder.presence, [[1, 1, NAN, NAN, 1], [0, 1, 0, 1, NAN]])


def test_a_value_named_twice_and_written_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, "image,group,value\na.jpg,Shape,Owl Like\na.jpg,shape,owl_like\n")
    np.testing.assert_array_equal(
        read_annotations(path, VOCABULARY).presence, [[NAN, NAN, NAN, NAN, 1]]
    )


def test_order_of_columns_and_others_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, 'note,value,group,image\n"by ""me"", once",red,color,"a, b.jpg"\n')
    folder = read_annotations(path, VOCABULARY)
    assert folder.paths == [tmp_path / "a, b.jpg"]
    np.testing.assert_array_equal(folder.presence, [[1, 0, NAN, NAN, NAN]])


def test_a_file_a_spreadsheet_wrote(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,group,value\r\na.jpg,color,red\r\n")
    assert read_annotations(path, VOCABULARY).paths == [tmp_path / "a.jpg"]


@pytest.mark.parametrize("missing", ["image", "group", "value"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    header = ",".join(name for name in ("image", "group", "value") if name != missing)
    message = refusal(write(tmp_path, f"{header}\na,b\n"))
    assert f"no column '{missing}'" in message
    assert "needed: image,group,value" in message


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,color,blu", "nearest: blue"),
        ("a.jpg,colour,blue", "nearest: color"),
        ("a.jpg,color,", "not of the form group=value"),
        ("a.jpg,color", "no value 'None'"),
        ("a.jpg", "unknown attribute 'None'"),
    ],
)
def test_an_unknown_value_is_pointed_at(tmp_path: Path, row: str, reason: str) -> None:
    message = refusal(write(tmp_path, f"image,group,value\na.jpg,color,red\n{row}\n"))
    assert "line 3" in message
    assert reason in message


def test_a_file_without_images(tmp_path: Path) -> None:
    assert "names no image" in refusal(write(tmp_path, "image,group,value\n"))
    assert "no column 'image'" in refusal(write(tmp_path, ""))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot read" in refusal(tmp_path / "none.csv")
    assert "cannot read" in refusal(tmp_path)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"image,group,value\n\xff\xfe,color,red\n")
    assert "cannot read" in refusal(binary)
