from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from finetag_model.annotations import read_annotations, read_vocabulary
from finetag_model.errors import DataError
from finetag_model.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("color=red", "color=blue", "size=small", "size=large", "shape=owl-like"))
NAN = np.nan


def write(folder: Path, text: str, *images: str) -> Path:
    """Write a table, and files for images."""
    path = folder / "attributes.csv"
    path.write_text(text, encoding="utf-8")
    for image in images:
        (folder / image).parent.mkdir(exist_ok=True)
        (folder / image).touch()
    return path


def write_rows(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write a table as CSV or Parquet, by the file's name, and files for its images."""
    if path.suffix == ".parquet":
        columns = zip(*rows, strict=True)
        parquet.write_table(
            pa.table(dict(zip(("image", "group", "value"), columns, strict=True))), path
        )
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("image", "group", "value"), *rows])
    for image, *_ in rows:
        (path.parent / image).touch()


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
        *("b.jpg", "a/x.jpg"),
    )
    folder = read_annotations(path, VOCABULARY)
    assert folder.paths == [tmp_path / "b.jpg", tmp_path / "a" / "x.jpg"]
    assert folder.presence.dtype == np.float32
    np.testing.assert_array_equal(folder.presence, [[1, 1, NAN, NAN, 1], [0, 1, 0, 1, NAN]])


def test_a_value_named_twice_and_written_otherwise(tmp_path: Path) -> None:
    path = write(
        tmp_path, "image,group,value\na.jpg,Shape,Owl Like\na.jpg,shape,owl_like\n", "a.jpg"
    )
    np.testing.assert_array_equal(
        read_annotations(path, VOCABULARY).presence, [[NAN, NAN, NAN, NAN, 1]]
    )


def test_order_of_columns_and_others_do_not_matter(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'note,value,group,image\n"by ""me"", once",red,color,"a, b.jpg"\n', "a, b.jpg"
    )
    folder = read_annotations(path, VOCABULARY)
    assert folder.paths == [tmp_path / "a, b.jpg"]
    np.testing.assert_array_equal(folder.presence, [[1, 0, NAN, NAN, NAN]])


def test_a_file_a_spreadsheet_wrote(tmp_path: Path) -> None:
    path = tmp_path / "attributes.csv"
    path.write_bytes(b"\xef\xbb\xbfimage,group,value\r\na.jpg,color,red\r\n")
    (tmp_path / "a.jpg").touch()
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
        ("a.jpg,colour,", "nearest: color"),
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


def test_an_empty_value_says_that_all_of_the_group_is_absent(tmp_path: Path) -> None:
    path = write(tmp_path, "image,group,value\na.jpg,size,\na.jpg,color,red\n", "a.jpg")
    np.testing.assert_array_equal(read_annotations(path, VOCABULARY).presence, [[1, 0, 0, 0, NAN]])


@pytest.mark.parametrize("values", [("", "red"), ("red", "")])
def test_a_group_cannot_be_absent_and_have_a_value(tmp_path: Path, values: tuple[str, str]) -> None:
    rows = "".join(f"a.jpg,color,{value}\n" for value in values)
    message = refusal(write(tmp_path, f"image,group,value\n{rows}", "a.jpg"))
    assert "line 3: a.jpg has both a value and no value of color" in message


def test_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{name}.jpg,color,red\n" for name in "abcb")
    message = refusal(write(tmp_path, f"image,group,value\n{rows}", "a.jpg"))
    assert f"line 3: {tmp_path / 'b.jpg'} does not exist (the first of 2 missing images)" in message
    (tmp_path / "b.jpg").mkdir()
    (tmp_path / "c.jpg").touch()
    message = refusal(tmp_path / "attributes.csv")
    assert message.endswith(f"{tmp_path / 'b.jpg'} does not exist")
    message = refusal(write(tmp_path, f"image,group,value\n{'a' * 300}.jpg,color,red\n"))
    assert message.endswith("a.jpg does not exist")


def test_an_absolute_path(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    image = tmp_path / "a.jpg"
    image.touch()
    path = write(other, f"image,group,value\n{image},color,red\n")
    assert read_annotations(path, VOCABULARY).paths == [image]


def test_the_vocabulary_is_what_the_files_name_in_order(tmp_path: Path) -> None:
    first = write(tmp_path, "image,group,value\na,Strap,Long Chain\na,strap,none\nb,Color,red\n")
    second = tmp_path / "more.csv"
    second.write_text(
        "image,group,value\nc,color,Light  Blue\nc,STRAP,long-chain\nc,size,\n"
        "d,color,light_blue\nd,Main Material,T-Shirt Cotton\nd,main_material,wool\nd,size,XL\n"
    )
    assert read_vocabulary([first, second]).names == (
        *("strap=long_chain", "strap=none", "color=red", "color=light_blue", "size=xl"),
        *("main_material=t-shirt_cotton", "main_material=wool"),
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a.jpg,color,a=b\n", "line 2: 'a=b' has a '='"),
        ("a.jpg,a=b,red\n", "line 2: 'a=b' has a '='"),
        ("a.jpg,color,\nb.jpg,Color, \n", "has a value of color"),
        ("", "names no image"),
    ],
)
def test_a_file_that_makes_no_vocabulary(tmp_path: Path, rows: str, reason: str) -> None:
    path = write(tmp_path, f"image,group,value\n{rows}")
    with pytest.raises(DataError) as error:
        read_vocabulary([path])
    assert reason in str(error.value)
    assert str(path) in str(error.value)


words = st.text(
    st.characters(blacklist_characters="=", blacklist_categories=("Cs",)), min_size=1, max_size=6
).filter(lambda text: text.strip())
# Of each image what it has of each group: nothing known, or values, perhaps none.
label_tables = st.lists(
    st.dictionaries(st.integers(0, 3), st.sets(st.integers(0, 3)), max_size=4),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(words, min_size=4, max_size=4),
    values=st.lists(words, min_size=4, max_size=4),
    images=label_tables,
    suffix=st.sampled_from([".csv", ".parquet"]),
)
def test_any_table_of_labels_comes_back(
    groups: list[str], values: list[str], images: list[dict[int, set[int]]], suffix: str
) -> None:
    # The last image has everything, so that no group is without a value, and numbers keep apart
    # what would fold to the same.
    images = [*images, {group: set(range(4)) for group in range(4)}]
    rows = [
        (
            f"{number}.jpg",
            f"{groups[group]}{group}",
            f"{values[value]}{value}" if value >= 0 else "",
        )
        for number, labels in enumerate(images)
        for group, chosen in labels.items()
        for value in (sorted(chosen) or [-1])
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"attributes{suffix}"
        write_rows(path, rows)
        vocabulary = read_vocabulary([path])
        read = read_annotations(path, vocabulary)
    assert len(vocabulary) == 16
    named = [number for number, labels in enumerate(images) if labels]
    assert [path.name for path in read.paths] == [f"{number}.jpg" for number in named]
    for number, presence in zip(named, read.presence, strict=True):
        for group in range(4):
            for value in range(4):
                position = vocabulary.position(f"{groups[group]}{group}={values[value]}{value}")
                known = images[number].get(group)
                expected = NAN if known is None else float(value in known)
                np.testing.assert_equal(float(presence[position]), expected)
