import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from irp_kedro.core.contamination import contaminate, split_pool, stratified_order, wanted_injections
from irp_kedro.errors import ContaminationError
from irp_kedro.parameters import ContaminationParameters

LEVELS = (0.0, 0.1, 0.2, 0.35, 0.5)

defect_counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 12), min_size=1)
seeds = st.integers(0, 1000)


def row(name: str, split: str, label: str, defect_type: str = "", digest: str = "") -> dict[str, Any]:
    return {
        "image_id": name,
        "path": f"{split}/{name}.png",
        "split": split,
        "product_class": "pill",
        "label": label,
        "defect_type": defect_type,
        "mask_path": "",
        "digest": digest or hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
        "width": 8,
        "height": 8,
    }


def source(
    defects: dict[str, int], *, normals: int = 10, test_normals: int = 3, defects_in: str = "test"
) -> pd.DataFrame:
    """Return a manifest with so many defects of each type, all in one split."""
    rows = [row(f"n{i}", "train", "normal") for i in range(normals)]
    rows += [row(f"g{i}", "test", "normal") for i in range(test_normals)]
    rows += [row(f"{kind}{i}", defects_in, "anomalous", kind) for kind, n in defects.items() for i in range(n)]
    return pd.DataFrame(rows)


def ask(level: float = 0.2, **changes: Any) -> ContaminationParameters:
    return ContaminationParameters(level=level, **changes)


def ids(table: pd.DataFrame) -> set[str]:
    return set(table["image_id"])


def injected(training: pd.DataFrame) -> set[str]:
    return ids(training[training["label"] == "anomalous"])


@given(defect_counts, seeds)
def test_the_pool_is_half_of_the_defects_with_each_type_in_proportion(
    defects: dict[str, int], split_seed: int
) -> None:
    pool, _ = split_pool(source(defects), split_seed=split_seed)
    assert len(pool) == sum(defects.values()) // 2
    of_type = Counter(pool["defect_type"])
    assert all(abs(of_type[kind] - n / 2) < 1 for kind, n in defects.items())


@given(defect_counts, seeds)
def test_pool_and_test_split_share_no_image_and_hold_every_defect(
    defects: dict[str, int], split_seed: int
) -> None:
    manifest = source(defects)
    pool, test = split_pool(manifest, split_seed=split_seed)
    assert not ids(pool) & ids(test)
    assert ids(pool) | injected(test) == injected(manifest)
    assert ids(test[test["label"] == "normal"]) == {"g0", "g1", "g2"}


@given(defect_counts, st.sampled_from(LEVELS), seeds)
def test_the_test_split_is_the_same_for_every_level_and_seed(
    defects: dict[str, int], level: float, seed: int
) -> None:
    manifest = source(defects)
    first = contaminate(manifest, ask(0.0), seed=0).test
    other = contaminate(manifest, ask(level), seed=seed).test
    pd.testing.assert_frame_equal(first, other)


@given(defect_counts, st.tuples(st.sampled_from(LEVELS), st.sampled_from(LEVELS)), seeds)
def test_what_a_level_injects_every_higher_level_injects_too(
    defects: dict[str, int], levels: tuple[float, float], seed: int
) -> None:
    manifest = source(defects)
    less, more = (injected(contaminate(manifest, ask(level), seed=seed).training) for level in sorted(levels))
    assert less <= more


@given(defect_counts, st.sampled_from(LEVELS), seeds)
def test_no_test_image_is_trained_on(defects: dict[str, int], level: float, seed: int) -> None:
    split = contaminate(source(defects), ask(level), seed=seed)
    assert not ids(split.training) & ids(split.test)


@given(defect_counts, seeds)
def test_the_order_of_the_manifest_changes_no_split(defects: dict[str, int], seed: int) -> None:
    manifest = source(defects)
    turned = manifest.iloc[::-1].reset_index(drop=True)
    one, other = contaminate(manifest, ask(), seed=seed), contaminate(turned, ask(), seed=seed)
    assert ids(one.training) == ids(other.training)
    assert ids(one.test) == ids(other.test)


def test_the_seed_draws_from_the_pool_and_the_split_seed_draws_the_pool() -> None:
    manifest = source({"a": 20, "b": 20})
    drawn = {frozenset(injected(contaminate(manifest, ask(0.1), seed=s).training)) for s in range(5)}
    pools = {frozenset(ids(split_pool(manifest, split_seed=s)[0])) for s in range(5)}
    assert len(drawn) == 5
    assert len(pools) == 5
    pool = ids(split_pool(manifest, split_seed=0)[0])
    assert all(chosen <= pool for chosen in drawn)


@pytest.mark.parametrize(
    ("definition", "level", "n_injected", "achieved"),
    [
        ("pool_fraction", 0.25, 10, 10 / 100),  # a quarter of the 40 defects there are
        ("added_fraction", 0.1, 9, 9 / 99),  # a tenth of the 90 normals is added
        ("mixture_fraction", 0.1, 10, 0.1),  # a tenth of the resulting set
        ("mixture_fraction", 0.0, 0, 0.0),
    ],
)
def test_each_definition_injects_what_it_says(
    definition: str, level: float, n_injected: int, achieved: float
) -> None:
    record = contaminate(
        source({"a": 30, "b": 10}, normals=90), ask(level, definition=definition), seed=0
    ).record
    assert record["n_injected"] == n_injected
    assert record["achieved_contamination"] == pytest.approx(achieved)


@given(st.floats(0, 0.5), st.integers(1, 200))
def test_the_mixture_holds_the_asked_fraction_to_within_one_image(level: float, n_normal: int) -> None:
    wanted = wanted_injections(ask(level, definition="mixture_fraction"), n_normal=n_normal, n_defects=0)
    assert abs(wanted / (n_normal + wanted) - level) <= 1 / (n_normal + wanted)


@given(st.floats(0, 0.5), st.integers(0, 400))
def test_a_pool_fraction_never_asks_for_more_than_half_of_the_defects(level: float, n_defects: int) -> None:
    assert wanted_injections(ask(level), n_normal=9, n_defects=n_defects) <= n_defects // 2


@pytest.mark.parametrize("percent", range(51))
def test_so_many_percent_of_a_hundred_defects_are_so_many_though_floats_fall_short(percent: int) -> None:
    assert wanted_injections(ask(percent / 100), n_normal=9, n_defects=100) == percent


def test_a_level_above_the_pool_is_refused_with_both_counts_and_the_ways_out() -> None:
    with pytest.raises(ContaminationError, match=r"asks for 50 .* pool has 5\..*cap.*subsample_normals"):
        contaminate(source({"a": 10}, normals=100), ask(0.5, definition="added_fraction"), seed=0)


def test_cap_injects_the_whole_pool_and_records_how_many_are_missing() -> None:
    wish = ask(0.5, definition="added_fraction", on_shortage="cap")
    split = contaminate(source({"a": 10}, normals=100), wish, seed=0)
    record = split.record
    assert (record["n_wanted"], record["n_injected"], record["short_by"]) == (50, 5, 45)
    assert len(split.training) == 105


@given(st.sampled_from([0.1, 0.25, 0.5]), st.integers(50, 120), seeds)
def test_subsampled_normals_keep_the_asked_fraction(level: float, normals: int, seed: int) -> None:
    wish = ask(level, definition="mixture_fraction", on_shortage="subsample_normals")
    split = contaminate(source({"a": 8}, normals=normals), wish, seed=seed)
    assume(split.record["short_by"] > 0)
    assert split.record["n_injected"] == 4
    assert split.record["n_normal"] < normals
    assert split.record["achieved_contamination"] == pytest.approx(level, abs=0.05)


def test_no_number_of_normals_makes_a_fraction_of_no_defects() -> None:
    wish = ask(0.2, definition="added_fraction", on_shortage="subsample_normals")
    with pytest.raises(ContaminationError, match="pool has 0"):
        contaminate(source({}, normals=10), wish, seed=0)


def test_a_source_without_defects_stays_clean_under_pool_fraction() -> None:
    split = contaminate(source({}), ask(0.5), seed=0)
    assert injected(split.training) == set()
    assert split.record["achieved_contamination"] == 0


def test_unlabelled_training_images_pass_through_and_their_level_is_unknown() -> None:
    rows = [row(f"u{i}", "train", "unknown") for i in range(4)] + [row("t", "test", "unknown")]
    split = contaminate(pd.DataFrame(rows), ask(0.5), seed=0)
    assert ids(split.training) == {"u0", "u1", "u2", "u3"}
    assert ids(split.test) == {"t"}
    assert split.record["known"] is False
    assert split.record["achieved_contamination"] is None


def test_one_unlabelled_training_image_makes_the_level_unknown() -> None:
    rows = [row("n", "train", "normal"), row("u", "train", "unknown"), row("a", "test", "anomalous", "a")]
    split = contaminate(pd.DataFrame(rows), ask(0.5), seed=0)
    assert ids(split.training) == {"n", "u"}
    assert ids(split.test) == {"a"}
    assert split.record["known"] is False


@given(defect_counts, st.sampled_from(LEVELS), seeds)
def test_a_source_with_its_own_pool_trains_on_no_defect_that_was_not_injected(
    defects: dict[str, int], level: float, seed: int
) -> None:
    manifest = source(defects, defects_in="train")
    split = contaminate(manifest, ask(level), seed=seed)
    listed = {image["image_id"] for image in split.record["injected"]}
    assert injected(split.training) == listed
    assert len(listed) == int(level * sum(defects.values()) + 1e-9)
    assert ids(split.test) == {"g0", "g1", "g2"}


def test_a_source_with_its_own_pool_keeps_its_test_defects_for_the_test() -> None:
    own = source({"a": 8}, defects_in="train")
    manifest = pd.concat([own, pd.DataFrame([row("t", "test", "anomalous", "a")])])
    split = contaminate(manifest, ask(0.5), seed=0)
    assert split.record["n_injected"] == 4  # of the 8 that training brought, the test's one not counted
    assert injected(split.test) == {"t"}


def with_copies(copies: Iterable[int]) -> pd.DataFrame:
    """Return a manifest with a defect for each number, in so many copies of the same bytes."""
    rows = [row(f"n{i}", "train", "normal") for i in range(10)]
    rows += [
        row(f"d{i}-{copy}", "test", "anomalous", "ab"[i % 2], digest=f"{i:032x}")
        for i, n in enumerate(copies)
        for copy in range(n)
    ]
    return pd.DataFrame(rows)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), seeds, seeds)
def test_copies_of_a_defect_are_never_parted_between_pool_and_test(
    copies: list[int], split_seed: int, seed: int
) -> None:
    manifest = with_copies(copies)
    pool, _ = split_pool(manifest, split_seed=split_seed)
    assert len(pool) <= sum(copies) // 2
    split = contaminate(manifest, ask(0.5, split_seed=split_seed, on_shortage="cap"), seed=seed)
    assert not set(pool["digest"]) & set(split.test["digest"])
    assert not set(split.training["digest"]) & set(split.test["digest"])


def test_a_defect_with_too_many_copies_for_the_pool_leaves_its_place_to_others() -> None:
    pools = [split_pool(with_copies([3, 1, 1, 1]), split_seed=seed)[0] for seed in range(20)]
    assert {len(pool) for pool in pools} == {3}


def test_training_rows_are_marked_as_such_and_carry_each_image_once() -> None:
    training = contaminate(source({"a": 10}), ask(0.5), seed=0).training
    assert set(training["split"]) == {"train"}
    assert training["image_id"].is_unique
    assert list(training["image_id"]) == sorted(training["image_id"])


def test_the_record_is_plain_json_and_lists_what_was_injected() -> None:
    split = contaminate(source({"a": 8, "b": 4}), ask(0.25), seed=3)
    record = json.loads(json.dumps(split.record))
    assert record["injected_by_type"] == dict(Counter(image["defect_type"] for image in record["injected"]))
    assert {image["image_id"] for image in record["injected"]} == injected(split.training)
    assert (record["n_normal"], record["n_pool"], record["n_injected"]) == (10, 6, 3)
    assert (record["seed"], record["split_seed"], record["known"]) == (3, 0, True)


@given(st.lists(st.sampled_from("abc"), max_size=30), seeds)
def test_a_stratified_order_has_every_position_once(types: list[str], seed: int) -> None:
    order = stratified_order(types, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(types)))


def test_every_beginning_of_a_stratified_order_holds_two_types_in_proportion() -> None:
    types = ["a"] * 12 + ["b"] * 6
    order = stratified_order(types, np.random.default_rng(5))
    for end in range(len(order) + 1):
        assert abs(Counter(types[i] for i in order[:end])["a"] - end * 12 / 18) <= 1
