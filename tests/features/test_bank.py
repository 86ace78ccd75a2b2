import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irp_kedro.errors import IncompleteRunError
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank, Features, FeatureStore
from irp_kedro.features.preparation import Preparation

RECIPE = ExtractionRecipe(
    backbone="efficientnet_lite0",
    weights="0123456789abcdef",
    crop="none",
    size=32,
    angles=(0.0, 180.0),
    scales=(1.0,),
    precision="float32",
)
LEVEL = Alignment(side=1.1, heading="AAAA")
OTHERS = [
    replace(RECIPE, backbone="alexnet"),
    replace(RECIPE, weights="f" * 16),
    replace(RECIPE, crop="centre"),
    replace(RECIPE, size=64),
    replace(RECIPE, angles=(0.0,)),
    replace(RECIPE, scales=(1.0, 0.5)),
    replace(RECIPE, precision="bfloat16"),
    replace(RECIPE, aligned=LEVEL),
    replace(RECIPE, aspect=0.4),
]


def features_of(digests: Sequence[str]) -> Features:
    """(n_images, 2 views, 3 features), each row made of its digest's own number."""
    rows = [np.full((2, 3), int(digest, 16)) for digest in digests]
    return np.stack(rows).astype(np.float16)


def filled(store: FeatureStore, *shards: str) -> FeatureBank:
    for shard in shards:
        store.write_shard(RECIPE, list(shard), features_of(shard))
    return store.open(RECIPE, "".join(shards))


@pytest.mark.parametrize("asked", ["0123", "3210", "20", "1", "2200"])
def test_features_are_read_in_the_order_asked(asked: str, store: FeatureStore) -> None:
    bank = filled(store, "02", "31")
    read = bank.read(list(asked))
    np.testing.assert_array_equal(read, features_of(asked))
    assert read.dtype == np.float16


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_how_images_are_cut_into_shards_does_not_matter(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    order = data.draw(st.permutations("0123456789abcdef"))
    cuts = sorted(data.draw(st.sets(st.integers(1, 15), max_size=5)))
    shards = [
        "".join(order[start:end]) for start, end in zip([0, *cuts], [*cuts, 16], strict=True) if start < end
    ]
    bank = filled(FeatureStore(tmp_path_factory.mktemp("store")), *shards)
    asked = data.draw(st.lists(st.sampled_from("0123456789abcdef"), min_size=1))
    np.testing.assert_array_equal(bank.read(asked), features_of(asked))


def test_nothing_asked_is_nothing_read(store: FeatureStore) -> None:
    assert len(filled(store, "01").read([])) == 0


def test_a_missing_image_is_named_with_the_way_out(store: FeatureStore) -> None:
    bank = filled(store, "01")
    with pytest.raises(IncompleteRunError) as caught:
        bank.read(["0", "9", "8"])
    message = "The feature bank lacks 2 of 3 images (first: 8). Run: kedro run --pipelines features"
    assert str(caught.value) == message


def test_a_bank_whose_store_is_gone_says_so(tmp_path: Path) -> None:
    bank = FeatureBank(store=tmp_path / "gone", recipe=RECIPE.digest(), digests=("0",))
    with pytest.raises(IncompleteRunError, match="lacks 1 of 1 images"):
        bank.read(["0"])


def test_only_images_without_features_are_missing(store: FeatureStore) -> None:
    filled(store, "13")
    assert store.missing(RECIPE, list("43210")) == ["0", "2", "4"]
    assert store.missing(RECIPE, list("2323")) == ["2"]


@pytest.mark.parametrize("other", OTHERS, ids=lambda recipe: recipe.digest())
def test_two_recipes_do_not_share_rows(other: ExtractionRecipe, store: FeatureStore) -> None:
    filled(store, "01")
    assert store.missing(other, ["0", "1"]) == ["0", "1"]
    assert store.folder(other) != store.folder(RECIPE)


def test_sets_with_common_images_share_their_rows(store: FeatureStore) -> None:
    filled(store, "01")
    assert store.missing(RECIPE, ["1", "2"]) == ["2"]
    filled(store, "2")
    np.testing.assert_array_equal(store.open(RECIPE, "12").read(["1", "2"]), features_of("12"))


def test_a_recipe_is_described_beside_its_shards(store: FeatureStore) -> None:
    described = json.loads((store.folder(RECIPE) / "recipe.json").read_text())
    assert described["weights"] == RECIPE.weights
    assert described["angles"] == [0.0, 180.0]


def test_a_bank_reads_its_recipe_back(store: FeatureStore) -> None:
    assert filled(store, "12").read_recipe() == RECIPE


def test_a_recipe_knows_the_preparation_of_its_images() -> None:
    aligned = replace(RECIPE, aligned=LEVEL)
    assert aligned.preparation == Preparation(crop="none", size=32, aligned=LEVEL)
    assert ExtractionRecipe.from_dict(json.loads(json.dumps(aligned.as_dict()))) == aligned


def test_a_recipe_knows_the_shape_of_its_images() -> None:
    oblong = replace(RECIPE, aspect=0.4)
    assert oblong.preparation.shape == Preparation(crop="none", size=32, aspect=0.4).shape
    assert ExtractionRecipe.from_dict(json.loads(json.dumps(oblong.as_dict()))) == oblong


def test_a_recipe_of_images_as_they_were_taken_is_named_as_before_parts_were_laid_level() -> None:
    assert not {"aligned", "aspect"} & set(RECIPE.as_dict())


def test_a_bank_whose_recipe_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(IncompleteRunError, match="kedro run --pipelines features"):
        FeatureBank.empty(tmp_path).read_recipe()


def test_a_bank_is_identified_by_recipe_and_images_alone(store: FeatureStore, tmp_path: Path) -> None:
    bank = filled(store, "012")
    assert bank.digests == ("0", "1", "2")
    elsewhere = FeatureStore(tmp_path / "elsewhere")
    assert elsewhere.open(RECIPE, "2010").digest == bank.digest
    assert elsewhere.open(RECIPE, "01").digest != bank.digest
    assert elsewhere.open(OTHERS[0], "012").digest != bank.digest


def test_an_array_without_its_list_does_not_count(store: FeatureStore) -> None:
    filled(store, "01", "23")
    listing = next(path for path in store.folder(RECIPE).glob("*.json") if path.read_text() == '["2", "3"]')
    listing.unlink()  # as a kill between array and list leaves it
    assert store.missing(RECIPE, list("0123")) == ["2", "3"]
    assert filled(store, "23").read(["3"])[0, 0, 0] == 3


def test_a_full_disk_leaves_neither_rows_nor_litter(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device")

    before = sorted(store.folder(RECIPE).iterdir())
    monkeypatch.setattr(np, "save", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        filled(store, "01")
    assert sorted(store.folder(RECIPE).iterdir()) == before


def test_an_array_is_on_disk_before_the_list_that_promises_it(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    present: list[int] = []
    folder = store.folder(RECIPE)
    monkeypatch.setattr("os.fsync", lambda _: present.append(len(list(folder.glob("shard-*")))))
    filled(store, "01")
    assert present == [0, 1]  # neither, then the array alone
