from pathlib import Path

import pandas as pd
import pytest

from irp_kedro.core.review import COLUMNS
from irp_kedro.datasets.review_file import read_review, refuse_unknown
from irp_kedro.errors import ReviewError
from irp_kedro.naming import cell_name, review_digest
from irp_kedro.parameters import Parameters, check_parameters

A, B, C = ("a" * 32, "b" * 32, "c" * 32)
HEADER = "image_id,digest,decision,who,when\n"


def file(folder: Path, *rows: str, header: str = HEADER) -> str:
    path = folder / "review.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path.as_posix()


def test_a_review_is_read_row_by_row(tmp_path: Path) -> None:
    table = read_review(file(tmp_path, f"x,{A},keep,Ada,2026-01-01", f"y,{B},unsure,Ada,2026-01-01"))
    assert table[["digest", "decision"]].to_numpy().tolist() == [[A, "keep"], [B, "unsure"]]


def test_no_review_is_an_empty_table() -> None:
    assert read_review("").empty
    assert tuple(read_review("").columns) == COLUMNS


def test_digest_and_decision_are_enough_and_a_spreadsheet_s_mark_does_no_harm(tmp_path: Path) -> None:
    path = file(tmp_path, f"{A}, keep", header="\ufeffdigest,decision\n")
    assert read_review(path)[["digest", "decision"]].to_numpy().tolist() == [[A, "keep"]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([f"x,{A},kepe,Ada,"], "line 2: decision 'kepe'; did you mean 'keep'"),
        (["x,not-a-digest,keep,Ada,"], "line 2: 'not-a-digest' is no MD5"),
        ([f"x,{A},keep,Ada,", f"x,{A},remove,Bob,"], f"{A} is decided on more than once"),
    ],
)
def test_a_review_that_cannot_be_honoured_is_refused_with_the_line(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    with pytest.raises(ReviewError, match=message):
        read_review(file(tmp_path, *rows))


def test_another_table_is_refused_with_the_columns_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="digest and decision at least"):
        read_review(file(tmp_path, "1,2", header="cycle,action\n"))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "review.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ReviewError, match="no table that can be read"):
        read_review((tmp_path / "review.csv").as_posix())


def test_a_missing_file_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    for read in (read_review, review_digest):
        with pytest.raises(ReviewError, match=r"review\.csv"):
            read((tmp_path / "review.csv").as_posix())


def test_images_that_the_source_does_not_have_are_named(tmp_path: Path) -> None:
    review = read_review(file(tmp_path, f"x,{A},keep,Ada,", f"y,{B},remove,Ada,"))
    refuse_unknown(review, pd.DataFrame({"digest": [A, B, C]}))
    with pytest.raises(ReviewError, match=f"y .{B}.: no image of this source"):
        refuse_unknown(review, pd.DataFrame({"digest": [A, C]}))


def test_a_cell_is_named_by_what_a_review_says_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here, there = file(tmp_path / "here", f"x,{A},keep,Ada,"), file(tmp_path / "there", f"x,{A},keep,Ada,")
    names = {cell_name(check_parameters({"refinement": {"review": path}})) for path in (here, there)}
    assert len(names) == 1
    file(tmp_path / "there", f"x,{A},remove,Ada,")
    assert cell_name(check_parameters({"refinement": {"review": there}})) not in names
    assert cell_name(Parameters()) not in names
