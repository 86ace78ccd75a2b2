from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from irp_kedro.core.anomaly_maps import Maps
from irp_kedro.core.detector import Scores
from irp_kedro.datasets.scored_images import find_images, map_path, score_files, write_heat_map
from irp_kedro.errors import SourceError
from irp_kedro.features.preparation import Pixels, Preparation


class Brightness:
    """Scores an image by how bright it is."""

    preparation = Preparation(crop="none", size=8)
    threshold = 100.0
    threshold_fits = True
    together = 2

    def __init__(self) -> None:
        self.asked: list[int] = []

    def score(self, pixels: Sequence[Pixels]) -> Scores:
        self.asked.append(len(pixels))
        return np.array([image.mean() for image in pixels])

    def maps(self, pixels: Sequence[Pixels], *, n_views: int) -> Maps:
        return np.stack([image.mean(axis=2) for image in pixels]).astype(np.float16)

    def map_range(self) -> tuple[float, float]:
        return 0.0, 200.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, grey in {"b.png": 150, "a.jpg": 50, "deep/c.PNG": 200, ".hidden.png": 0, ".git/d.png": 0}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (12, 10), (grey, grey, grey)).save(path)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_found_at_any_depth_but_hidden_ones_and_other_files_are_not(folder: Path) -> None:
    assert [path.relative_to(folder).as_posix() for path in find_images(folder)] == [
        "a.jpg",
        "b.png",
        "deep/c.PNG",
    ]


def test_a_folder_that_is_none_or_holds_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="holds no image"):
        find_images(tmp_path)


def test_each_image_gets_score_and_verdict_in_order(folder: Path) -> None:
    scored = list(score_files(Brightness(), find_images(folder)))
    assert [round(image.score or 0) for image in scored] == [50, 150, 200]
    assert [image.verdict for image in scored] == ["normal", "anomalous", "anomalous"]
    assert all(image.seconds > 0 for image in scored)


def test_an_unreadable_image_ends_nothing(folder: Path) -> None:
    (folder / "aa.png").write_bytes((folder / "b.png").read_bytes()[:40])
    (folder / "ab.png").write_text("")
    scorer = Brightness()
    scored = list(score_files(scorer, find_images(folder)))
    assert [image.verdict for image in scored] == [
        "normal",
        "unreadable",
        "unreadable",
        "anomalous",
        "anomalous",
    ]
    assert all(image.fault for image in scored if image.verdict == "unreadable")
    assert scorer.asked == [1, 1, 1]  # batches of two files: a and aa, ab and b, deep/c


def test_images_are_read_only_when_their_turn_comes(folder: Path) -> None:
    scorer = Brightness()
    stream = score_files(scorer, find_images(folder))
    assert scorer.asked == []
    next(stream)
    assert scorer.asked == [2]


def test_a_heat_map_is_the_prepared_image_with_the_map_over_it(folder: Path) -> None:
    scorer = Brightness()
    image = next(score_files(scorer, find_images(folder)))
    assert image.pixels is not None
    path = map_path(folder / "maps", folder, image.path)
    write_heat_map(path, image.pixels, scorer.maps([image.pixels], n_views=1)[0], scorer.map_range())
    with Image.open(path) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (8, 8))
        assert np.ptp(np.asarray(drawn).mean(axis=(0, 1))) > 0  # coloured, though the image is grey


def test_maps_of_images_of_one_name_in_two_folders_do_not_meet(folder: Path) -> None:
    images = [folder / "a.jpg", folder / "a.png", folder / "deep" / "a.jpg"]
    assert len({map_path(Path("maps"), folder, image) for image in images}) == 3


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_an_image_without_a_finite_score_is_anomalous_and_named(
    lost: float, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Brightness, "score", lambda self, pixels: np.full(len(pixels), lost))
    scored = list(score_files(Brightness(), find_images(folder)))
    assert {image.verdict for image in scored} == {"anomalous"}
    assert all(image.score is None and "look at it" in image.fault for image in scored)
