from dataclasses import FrozenInstanceError
from random import Random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import BlindSet

digest_lists = st.lists(st.integers(0, 2**30).map(lambda n: f"{n:08x}"), unique=True, max_size=20)


def manifest(digests: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"id-{digest}" for digest in digests], "digest": digests})


def test_ids_and_digests_are_all_it_takes() -> None:
    images = BlindSet.of(manifest(["aa", "bb", "cc"]), seed=0)
    assert vars(images).keys() == {"image_ids", "digests"}
    assert set(images.digests) == {"aa", "bb", "cc"}
    assert len(images) == 3


def test_what_else_a_manifest_knows_changes_nothing() -> None:
    bare = manifest([f"{i:02x}" for i in range(20)])
    told = bare.assign(label=["anomalous", "normal"] * 10, path="train/x.png", defect_type="scratch")
    assert BlindSet.of(told, seed=1) == BlindSet.of(bare, seed=1)


@given(digest_lists, st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_blind_order_does_not_depend_on_the_order_given(
    digests: list[str], seed: int, random: Random
) -> None:
    shuffled = list(digests)
    random.shuffle(shuffled)
    assert BlindSet.of(manifest(shuffled), seed=seed) == BlindSet.of(manifest(digests), seed=seed)


@given(digest_lists, st.integers(0, 99))
def test_new_names_leave_the_contents_where_they_were(digests: list[str], seed: int) -> None:
    renamed = BlindSet.of_ids([f"z{i}" for i in range(len(digests))], digests, seed=seed)
    assert renamed.digests == BlindSet.of(manifest(digests), seed=seed).digests


@given(digest_lists)
def test_every_id_stays_with_its_digest(digests: list[str]) -> None:
    images = BlindSet.of(manifest(digests), seed=0)
    assert all(name == f"id-{digest}" for name, digest in zip(images.image_ids, images.digests, strict=True))


def test_the_blind_order_is_not_the_order_of_the_manifest_and_differs_by_seed() -> None:
    digests = [f"{i:02x}" for i in range(40)]
    orders = {BlindSet.of(manifest(digests), seed=seed).digests for seed in range(5)}
    assert len(orders) == 5
    assert tuple(digests) not in orders


def test_a_blind_set_does_not_change() -> None:
    images = BlindSet.of(manifest(["aa"]), seed=0)
    with pytest.raises(FrozenInstanceError):
        images.digests = ()
