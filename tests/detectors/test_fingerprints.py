import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.detectors.fingerprints import fingerprints

N_BYTES = 3 * 4 * 2  # 3 patches of 4 half-precision channels


def two_images(dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.arange(2 * 3 * 4).view(2, 3, 4).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_equal_images_have_equal_numbers_wherever_they_stand(dtype: torch.dtype) -> None:
    first, second = two_images(dtype)
    one, other, again = fingerprints(torch.stack([first, second, first])).tolist()
    assert one == again != other


def test_how_features_lie_in_memory_does_not_matter() -> None:
    features = two_images().flatten(1)
    scattered = features.T.contiguous().T
    assert not scattered.is_contiguous()
    assert torch.equal(fingerprints(scattered), fingerprints(features))


@given(st.integers(0, N_BYTES - 1), st.integers(0, 7))
def test_one_changed_bit_changes_the_number_of_its_image_alone(byte: int, bit: int) -> None:
    features = two_images()
    before = fingerprints(features)
    features[1].view(torch.uint8).view(-1)[byte] ^= 1 << bit
    after = fingerprints(features)
    assert (after != before).tolist() == [False, True]


def test_no_image_has_no_number() -> None:
    assert fingerprints(torch.empty(0, 3, 4)).tolist() == []


def test_another_process_finds_the_same_numbers() -> None:
    program = (
        "import torch; from irp_kedro.detectors.fingerprints import fingerprints;"
        "print(fingerprints(torch.arange(24).view(2, 3, 4).half()).tolist())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(fingerprints(two_images()).tolist())
