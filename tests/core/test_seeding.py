from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.seeding import digest_order, stream, stream_seed

names = st.lists(st.one_of(st.integers(0, 99), st.text("abc", min_size=1)), max_size=3)
contents = st.lists(st.text("0123456789abcdef", min_size=1, max_size=6), max_size=20)


@given(st.integers(0, 2**40), names)
def test_a_stream_seed_is_repeatable_and_fits_63_bits(seed: int, parts: list[str | int]) -> None:
    value = stream_seed(seed, *parts)
    assert value == stream_seed(seed, *parts)
    assert 0 <= value < 2**63


def test_another_seed_or_another_name_is_another_stream() -> None:
    seeds = {
        stream_seed(seed, *name) for seed in range(20) for name in ((), ("a",), ("b",), ("a", "b"), ("a", 1))
    }
    assert len(seeds) == 100


def test_a_stream_gives_the_same_numbers_whatever_was_drawn_before() -> None:
    first = stream(3, "views").random(4)
    stream(3, "folds").random(100)
    np.random.default_rng(3).random(5)
    assert stream(3, "views").random(4).tolist() == first.tolist()


def test_drawing_from_a_stream_leaves_numpys_global_state_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the global state is what this is about
    stream(0, "views").random(10)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


@given(contents, st.integers(0, 99))
def test_a_digest_order_has_every_position_once(digests: list[str], seed: int) -> None:
    assert sorted(digest_order(digests, seed)) == list(range(len(digests)))


@given(contents, st.integers(0, 99), st.randoms(use_true_random=False))
def test_a_digest_order_depends_on_contents_alone(digests: list[str], seed: int, random: Random) -> None:
    shuffled = list(digests)
    random.shuffle(shuffled)
    ordered = [digests[i] for i in digest_order(digests, seed, "blind")]
    assert [shuffled[i] for i in digest_order(shuffled, seed, "blind")] == ordered


def test_equal_digests_keep_the_order_given() -> None:
    order = digest_order(["x", "y", "x", "x"], 0)
    assert [i for i in order if i != 1] == [0, 2, 3]


def test_each_seed_and_name_orders_digests_in_its_own_way() -> None:
    digests = [f"{i:02x}" for i in range(40)]
    orders = {tuple(digest_order(digests, seed, name)) for seed in range(5) for name in ("blind", "split")}
    assert len(orders) == 10
