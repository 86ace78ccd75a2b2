import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.datasets import image_files, mvtec_ad
from irp_kedro.datasets.mvtec_addresses import archive_checksum, archive_url
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError

RequestFor = Callable[..., SourceRequest]


def summary(records: list[ImageRecord]) -> Counter[tuple[str, str, str]]:
    return Counter((record.split, record.label, record.defect_type) for record in records)


PILL = {("train", "normal", ""): 3, ("test", "normal", ""): 2, ("test", "anomalous", "scratch"): 2}


def second_class(pill: Path, name: str) -> None:
    shutil.copytree(pill, pill.parent / name)


def test_labels_and_defect_types_come_from_the_folders(mvtec_class: Path, request_for: RequestFor) -> None:
    records = mvtec_ad.read(request_for(mvtec_class.parent, "pill"))
    assert summary(records) == PILL
    assert {record.product_class for record in records} == {"pill"}


def test_anomalous_images_alone_have_a_mask(mvtec_class: Path, request_for: RequestFor) -> None:
    records = mvtec_ad.read(request_for(mvtec_class, "pill"))
    masks = {record.path.stem: record.mask_path for record in records if record.defect_type == "scratch"}
    assert masks["001"] == mvtec_class.resolve() / "ground_truth" / "scratch" / "001_mask.png"
    assert all(record.mask_path is None for record in records if record.label == "normal")


def test_the_path_may_be_the_class_folder_itself(mvtec_class: Path, request_for: RequestFor) -> None:
    assert summary(mvtec_ad.read(request_for(mvtec_class))) == PILL


def test_a_class_folder_may_have_any_name(mvtec_class: Path, request_for: RequestFor) -> None:
    renamed = mvtec_class.rename(mvtec_class.parent / "line 7")
    assert {record.product_class for record in mvtec_ad.read(request_for(renamed, "pill"))} == {"pill"}
    assert {record.product_class for record in mvtec_ad.read(request_for(renamed))} == {"line 7"}


def test_the_only_class_present_needs_no_name(mvtec_class: Path, request_for: RequestFor) -> None:
    assert summary(mvtec_ad.read(request_for(mvtec_class.parent))) == PILL


def test_several_classes_need_a_choice(mvtec_class: Path, request_for: RequestFor) -> None:
    second_class(mvtec_class, "screw")
    with pytest.raises(
        SourceError, match=r"'pill', 'screw'\. Choose one: --params dataset\.product_class=NAME"
    ):
        mvtec_ad.read(request_for(mvtec_class.parent))


def test_a_misspelt_class_gets_the_nearest_on_disk(mvtec_class: Path, request_for: RequestFor) -> None:
    second_class(mvtec_class, "screw")
    with pytest.raises(SourceError, match="has no class 'scrwe'; did you mean 'screw'"):
        mvtec_ad.read(request_for(mvtec_class.parent, "scrwe"))


def test_an_absent_class_of_the_fifteen_is_told_apart_from_a_misspelt_one(
    mvtec_class: Path, request_for: RequestFor
) -> None:
    with pytest.raises(SourceError, match=r"no folder of 'wood', though that is an MVTec AD class.*'pill'"):
        mvtec_ad.read(request_for(mvtec_class.parent, "wood"))
    with pytest.raises(SourceError, match="no folder of 'wood'"):
        mvtec_ad.read(request_for(mvtec_class, "wood"))


@pytest.mark.parametrize(("name", "hint"), [("", "Choose one"), ("bottel", "did you mean 'bottle'")])
def test_a_wrong_class_is_refused_before_anything_is_downloaded(
    name: str, hint: str, request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "fetch", lambda *_, **__: pytest.fail("it began to download"))
    with pytest.raises(SourceError, match=hint):
        mvtec_ad.read(request_for(None, name))


def test_an_archive_is_extracted_and_read(mvtec_class: Path, tmp_path: Path, request_for: RequestFor) -> None:
    archive = tmp_path / "mvtec.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(mvtec_class.parent, arcname="mvtec_anomaly_detection")
    assert summary(mvtec_ad.read(request_for(archive))) == PILL
    assert summary(mvtec_ad.read(request_for(archive))) == PILL


def test_an_archive_of_bare_splits_is_a_class_named_by_its_file(
    mvtec_class: Path, tmp_path: Path, request_for: RequestFor
) -> None:
    archive = tmp_path / "screw.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        for folder in mvtec_class.iterdir():
            tar.add(folder, arcname=folder.name)
    assert {record.product_class for record in mvtec_ad.read(request_for(archive))} == {"screw"}


def test_without_a_path_the_published_archive_is_downloaded(
    mvtec_class: Path, tmp_path: Path, request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "published.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(mvtec_class, arcname="pill")
    asked: list[tuple[str, Path, str | None]] = []

    def fetch(url: str, *, folder: Path, checksum: str | None) -> Path:
        asked.append((url, folder, checksum))
        return archive

    monkeypatch.setattr(image_files, "fetch", fetch)
    assert summary(mvtec_ad.read(request_for(None, "pill"))) == PILL
    assert asked == [(archive_url("pill"), tmp_path / "raw" / "mvtec_ad" / "pill", archive_checksum("pill"))]


def test_what_was_extracted_once_needs_no_archive_again(
    mvtec_class: Path, tmp_path: Path, request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "published.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(mvtec_class, arcname="pill")
    fetched = iter([archive])
    monkeypatch.setattr(image_files, "fetch", lambda *_, **__: next(fetched))
    first = mvtec_ad.read(request_for(None, "pill"))
    archive.unlink()
    assert mvtec_ad.read(request_for(None, "pill")) == first


def test_a_class_without_ground_truth_has_no_masks(mvtec_class: Path, request_for: RequestFor) -> None:
    shutil.rmtree(mvtec_class / "ground_truth")
    records = mvtec_ad.read(request_for(mvtec_class))
    assert summary(records) == PILL
    assert all(record.mask_path is None for record in records)


def test_a_defect_type_without_ground_truth_has_no_masks(
    mvtec_class: Path, request_for: RequestFor, write_image: Callable[..., Path]
) -> None:
    write_image(mvtec_class / "test" / "dent" / "000.png")
    records = mvtec_ad.read(request_for(mvtec_class))
    assert [record.mask_path for record in records if record.defect_type == "dent"] == [None]


def test_a_folder_of_another_layout_is_sent_to_image_folder(tmp_path: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match=r"holds no MVTec AD class.*image_folder"):
        mvtec_ad.read(request_for(tmp_path))


def test_training_folders_other_than_good_are_not_passed_over(
    mvtec_class: Path, request_for: RequestFor, write_image: Callable[..., Path]
) -> None:
    write_image(mvtec_class / "train" / "scratch" / "000.png")
    with pytest.raises(SourceError, match=r"it holds \['good', 'scratch'\]"):
        mvtec_ad.read(request_for(mvtec_class))


def test_images_outside_a_type_folder_are_not_passed_over(
    mvtec_class: Path, request_for: RequestFor, write_image: Callable[..., Path]
) -> None:
    write_image(mvtec_class / "test" / "stray.png")
    with pytest.raises(SourceError, match=r"'stray\.png'"):
        mvtec_ad.read(request_for(mvtec_class))


def test_a_missing_path_gets_the_nearest_that_exists(mvtec_class: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match=r"does not exist.*has no 'mvtce'; did you mean 'mvtec'"):
        mvtec_ad.read(request_for(mvtec_class.parent.parent / "mvtce" / "pill"))


def test_archives_of_one_name_do_not_replace_each_other(
    mvtec_class: Path, tmp_path: Path, request_for: RequestFor
) -> None:
    folders = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        with tarfile.open(tmp_path / place / "set.tar.xz", "w:xz") as tar:
            tar.add(mvtec_class, arcname="pill")
        records = mvtec_ad.read(request_for(tmp_path / place / "set.tar.xz"))
        folders.append(records[0].path.parent)
    assert folders[0] != folders[1]
    assert all(folder.is_dir() for folder in folders)
