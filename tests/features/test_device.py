import subprocess
import sys

import numpy as np
import pytest
import torch

from irp_kedro.features.device import download, resolve_batch_views, resolve_precision, upload, with_halving


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_memory_that_is_freed_again_and_again_is_not_cleared_again_and_again() -> None:
    code = (
        "import resource, torch; from irp_kedro.features.device import keep_freed_memory as keep; keep()\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def use(): return [torch.ones(4_000_000) for _ in range(8)]\n"
        "for _ in range(4): use()\n"
        "before = faults()\n"
        "for _ in range(8): use()\n"
        "print(faults() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    # 64 tensors of 16 MB, 4,000 pages each, are made; one may land in fresh memory, by where others lie.
    # Without the call most do, more often than not.
    assert int(done.stdout) < 2 * 4_000


def test_how_many_views_pass_together_goes_by_the_device_unless_it_is_said() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert resolve_batch_views("auto", cpu) < resolve_batch_views("auto", gpu)
    assert resolve_batch_views(7, cpu) == resolve_batch_views(7, gpu) == 7


def test_what_goes_up_comes_down_as_it_was() -> None:
    rows = np.array([3, 1, 2])[::-1]
    np.testing.assert_array_equal(download(upload(rows, torch.device("cpu"))), rows)


@pytest.mark.parametrize(("fits", "tried"), [(96, [96]), (30, [96, 48, 24]), (1, [96, 48, 24, 12, 6, 3, 1])])
def test_where_memory_ends_half_as_many_go_together(fits: int, tried: list[int]) -> None:
    sizes: list[int] = []

    def run(size: int) -> str:
        sizes.append(size)
        if size > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert with_halving(run, 96, "a test") == ("done", tried[-1])
    assert sizes == tried


def test_where_not_even_one_fits_the_error_stays() -> None:
    def run(size: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        with_halving(run, 4, "a test")


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    sizes: list[int] = []

    def run(size: int) -> None:
        sizes.append(size)
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        with_halving(run, 4, "a test")
    assert sizes == [4]


def test_a_precision_that_is_named_is_taken() -> None:
    assert resolve_precision("bfloat16", torch.device("cpu")) == "bfloat16"
