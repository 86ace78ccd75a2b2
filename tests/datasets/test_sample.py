from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from irp_kedro.datasets import sample
from irp_kedro.datasets.sample_surface import Difficulty
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError
from irp_kedro.parameters import SampleParameters

SMALL = SampleParameters(normal_train=3, normal_test=2, defective=5, size=48)


def request(raw: Path, **changes: Any) -> SourceRequest:
    return SourceRequest(path=None, product_class="", raw=raw, sample=SMALL.model_copy(update=changes))


def content(records: list[ImageRecord]) -> list[bytes]:
    paths = [r.path for r in records] + [r.mask_path for r in records if r.mask_path]
    return [path.read_bytes() for path in paths]


def folder_of(records: list[ImageRecord]) -> Path:
    return records[0].path.parents[2]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = sample.read(request(tmp_path / "a")), sample.read(request(tmp_path / "b"))
    assert content(first) == content(second)


def test_another_seed_gives_other_images(tmp_path: Path) -> None:
    first, second = sample.read(request(tmp_path)), sample.read(request(tmp_path, seed=1))
    assert not {r.path.read_bytes() for r in first} & {r.path.read_bytes() for r in second}


def test_no_two_images_of_a_set_are_the_same(tmp_path: Path) -> None:
    records = sample.read(request(tmp_path))
    assert len({r.path.read_bytes() for r in records}) == len(records) == 10


def test_asking_for_more_images_leaves_the_first_ones_as_they_were(tmp_path: Path) -> None:
    few = sample.read(request(tmp_path))
    many = sample.read(request(tmp_path, normal_train=4, normal_test=3, defective=8))
    few_bytes = {r.path.relative_to(folder_of(few)): r.path.read_bytes() for r in few}
    many_bytes = {r.path.relative_to(folder_of(many)): r.path.read_bytes() for r in many}
    assert few_bytes.items() <= many_bytes.items()


def test_every_file_lies_where_mvtec_ad_has_it_and_nothing_else_does(tmp_path: Path) -> None:
    records = sample.read(request(tmp_path))
    folder = folder_of(records)
    listed = {r.path for r in records} | {r.mask_path for r in records if r.mask_path}
    assert listed == {path for path in folder.rglob("*") if path.is_file()}
    assert (folder / "train/good/0002.png") in listed
    assert (folder / "test/dent/0000.png") in listed
    assert (folder / "ground_truth/scratch/0001_mask.png") in listed


@pytest.mark.parametrize(
    ("defective", "counts"), [(1, [1, 0, 0]), (5, [2, 2, 1]), (6, [2, 2, 2]), (160, [54, 53, 53])]
)
def test_defect_types_share_the_count_as_equally_as_can_be(defective: int, counts: list[int]) -> None:
    records = sample.list_records(Path("/none"), SampleParameters(defective=defective))
    types = Counter(r.defect_type for r in records if r.label == "anomalous")
    assert [types[name] for name in sample.DEFECT_TYPES] == counts


def test_records_tell_split_label_and_mask() -> None:
    records = sample.list_records(Path("/none"), SMALL)
    normal = [r for r in records if r.label == "normal"]
    anomalous = [r for r in records if r.label == "anomalous"]
    assert Counter(r.split for r in normal) == {"train": 3, "test": 2}
    assert {r.split for r in anomalous} == {"test"}
    assert not any(r.mask_path or r.defect_type for r in normal)
    assert all(r.mask_path and r.defect_type for r in anomalous)


def test_every_mask_has_the_size_of_its_image_and_marks_something(tmp_path: Path) -> None:
    masked = [r for r in sample.read(request(tmp_path)) if r.mask_path]
    for record in masked:
        with Image.open(record.path) as image, Image.open(str(record.mask_path)) as mask:
            assert (image.mode, mask.mode) == ("RGB", "L")
            assert image.size == mask.size == (48, 48)
            assert set(np.unique(np.asarray(mask))) == {0, 255}


@pytest.mark.parametrize("defect_type", sample.DEFECT_TYPES)
@pytest.mark.parametrize("size", [32, 96])
def test_a_defect_changes_the_surface_inside_its_mask(defect_type: str, size: int) -> None:
    for index in range(8):
        surface, defective, mask = sample.draw_defective(3, defect_type, index, size)
        change = np.abs(surface.astype(int) - defective).sum(axis=2)
        assert 0 < mask.mean() < 0.15
        assert change[mask].sum() > 2 * change[~mask].sum()
        assert change.max() == change[mask].max()


def test_defects_range_from_subtle_to_clear() -> None:
    peaks = []
    for index in range(30):
        surface, defective, _ = sample.draw_defective(0, "spot", index, 32)
        peaks.append(np.abs(surface.astype(int) - defective).max())
    assert min(peaks) < 25
    assert max(peaks) > 50


def test_brightness_and_texture_differ_from_one_normal_item_to_the_next() -> None:
    items = [sample.draw_normal(0, "train", index, 48) for index in range(20)]
    assert np.std([item.mean() for item in items]) > 8
    assert max(item.std() for item in items) > 1.5 * min(item.std() for item in items)


def test_a_finished_set_is_not_generated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sample.read(request(tmp_path))
    monkeypatch.setattr(sample, "_generate", lambda *_: pytest.fail("generated again"))
    assert sample.read(request(tmp_path)) == first


def test_an_interruption_leaves_no_half_set_and_the_next_run_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def stop_at_the_fourth(record: ImageRecord, parameters: SampleParameters) -> None:
        written.append(record)
        if len(written) == 4:
            raise KeyboardInterrupt
        write(record, parameters)

    write = sample._write
    monkeypatch.setattr(sample, "_write", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        sample.read(request(tmp_path))
    assert not (tmp_path / f"sample-{sample.sample_digest(SMALL)}").exists()
    monkeypatch.setattr(sample, "_write", write)
    finished = sample.read(request(tmp_path))
    assert content(finished) == content(sample.read(request(tmp_path / "uninterrupted")))
    assert not list(tmp_path.glob("*.partial"))


def test_a_set_that_lost_a_file_is_generated_again(tmp_path: Path) -> None:
    records = sample.read(request(tmp_path))
    before = content(records)
    records[0].path.unlink()
    assert content(sample.read(request(tmp_path))) == before


def test_two_runs_at_once_do_not_harm_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated = []
    generate = sample._generate

    def count_and_generate(folder: Path, parameters: SampleParameters) -> None:
        generated.append(folder)
        generate(folder, parameters)

    monkeypatch.setattr(sample, "_generate", count_and_generate)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(sample.read, [request(tmp_path)] * 2)
    assert first == second
    assert len(generated) == 1
    assert all(content(first))


def test_parameters_difficulty_and_version_each_give_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [sample.sample_digest(SMALL), sample.sample_digest(SMALL.model_copy(update={"size": 64}))]
    monkeypatch.setattr(sample, "DIFFICULTY", Difficulty(benign_rate=0.0))
    digests.append(sample.sample_digest(SMALL))
    monkeypatch.setattr(sample, "GENERATOR_VERSION", 0)
    digests.append(sample.sample_digest(SMALL))
    assert len(set(digests)) == 4


@pytest.mark.parametrize("wrong", [{"path": Path("somewhere")}, {"product_class": "pill"}])
def test_a_path_or_class_that_the_sample_cannot_have_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    asked = {"path": None, "product_class": "", "raw": tmp_path, "sample": SMALL} | wrong
    with pytest.raises(SourceError, match=r"The sample is generated.*(somewhere|pill)"):
        sample.read(SourceRequest(**asked))


def test_a_relative_raw_folder_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    records = sample.read(request(Path("raw"), normal_train=1, normal_test=1, defective=1))
    assert all(r.path.is_absolute() and r.path.is_file() for r in records)
