from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage, as_csv, from_csv, list_source_images, original_names

# What a file name may hold on any system: everything but control characters and half characters.
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8)
IMAGES = st.builds(
    StoredImage,
    image_id=TEXT,
    name=TEXT,
    digest=TEXT,
    size=st.integers(min_value=0, max_value=2**40),
    path=TEXT,
    original=TEXT,
)


def test_an_image_is_kept_under_its_id_with_the_suffix_of_its_file(tmp_path: Path) -> None:
    for name, content in (("good/000.png", "first"), ("bad/000.JPG", "the second")):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    paths = [f"{tmp_path.as_posix()}/good/000.png", f"{tmp_path.as_posix()}/bad/000.JPG"]
    training = pd.DataFrame({"image_id": ["x1", "x2"], "path": paths, "digest": ["11", "22"]})
    assert list_source_images(training) == [
        StoredImage(image_id="x1", name="x1.png", digest="11", size=5, path=paths[0], original="good/000.png"),
        StoredImage(image_id="x2", name="x2.jpg", digest="22", size=10, path=paths[1], original="bad/000.JPG"),
    ]


@pytest.mark.parametrize(
    ("paths", "originals"),
    [
        ([], []),
        (["/set/good/000.png"], ["000.png"]),
        (["/set/good/000.png", "/set/good/001.png"], ["000.png", "001.png"]),
        (["/set/good/000.png", "/set/000.png"], ["good/000.png", "000.png"]),
        (["/set/goods/000.png", "/set/good/000.png"], ["goods/000.png", "good/000.png"]),
        (["/one/000.png", "/two/000.png"], ["one/000.png", "two/000.png"]),
    ],
)
def test_original_names_start_where_the_paths_part(paths: list[str], originals: list[str]) -> None:
    assert original_names(paths) == originals


@settings(max_examples=50, deadline=None)
@given(st.lists(IMAGES, max_size=4))
def test_a_list_of_images_comes_back_as_it_was_whatever_their_names(images: list[StoredImage]) -> None:
    assert from_csv(as_csv(images)) == images


@pytest.mark.parametrize("word", ["NA", "nan", "007", "1e5", "True", "", " a ", 'say "a", b', "傷"])
def test_no_name_is_taken_for_a_number_or_a_gap(word: str) -> None:
    image = StoredImage(image_id=word, name=word, digest=word, size=1, path=word, original=word)
    assert from_csv(as_csv([image])) == [image]


def test_images_that_are_gone_since_ingestion_are_counted_with_the_command_that_helps(
    training: pd.DataFrame,
) -> None:
    for path in training["path"].iloc[1:3]:
        Path(path).unlink()
    with pytest.raises(LineageError, match=r"2 images are gone .*first: .*good/b\.png.*kedro run"):
        list_source_images(training)
