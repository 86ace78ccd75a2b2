from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.detectors.soft_patch import SoftPatch

Settings = Callable[..., DetectorSettings]
N_IMAGES, N_PATCHES, N_CHANNELS = 20, 9, 5
ROWS, ODD, FAR = np.arange(N_IMAGES), 3, 20.0


@pytest.fixture
def patches() -> torch.Tensor:
    """(20 images, 9 patches, 5 channels): one patch of one image is far from all others."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(N_IMAGES, N_PATCHES, N_CHANNELS, generator=generator)
    patches[ODD, 4] += FAR
    return patches.half()


@pytest.fixture
def fitted(patches: torch.Tensor, settings: Settings) -> SoftPatch:
    detector = SoftPatch(patches, settings())
    detector.fit(ROWS, epochs=1)
    return detector


def slow_scores(patches: torch.Tensor, memory: dict[str, np.ndarray], owner: np.ndarray) -> list[float]:
    """Return the largest weighted distance of each image's patches to what others gave to the memory."""
    scores = []
    for image in range(len(patches)):
        weighted = []
        for patch in patches[image].float().numpy():
            scaled = (patch - memory["mean"]) / memory["deviation"]
            others = owner != image
            distances = np.linalg.norm(memory["patches"][others] - scaled, axis=1)
            weighted.append(distances.min() * memory["weights"][others][distances.argmin()])
        scores.append(max(weighted))
    return scores


def test_an_odd_image_scores_highest(fitted: SoftPatch) -> None:
    scores = fitted.score(ROWS)
    assert scores.argmax() == ODD
    assert scores[ODD] > 2 * np.delete(scores, ODD).max()


def test_odd_patches_are_kept_out_of_the_memory(fitted: SoftPatch, patches: torch.Tensor) -> None:
    memory = fitted.state()
    remembered = memory["patches"] * memory["deviation"] + memory["mean"]
    assert len(remembered) == round(0.85 * N_IMAGES * N_PATCHES)
    assert patches.max() > FAR
    assert remembered.max() < FAR / 2


def test_every_remembered_patch_is_one_of_its_owner(fitted: SoftPatch, patches: torch.Tensor) -> None:
    memory = fitted.state()
    remembered = memory["patches"] * memory["deviation"] + memory["mean"]
    owners = [image_of(patches, patch) for patch in remembered]
    numbers = dict(zip(owners, memory["owner"].tolist(), strict=True))
    assert [numbers[owner] for owner in owners] == memory["owner"].tolist()
    assert len(set(numbers.values())) == len(numbers)


def image_of(patches: torch.Tensor, patch: torch.Tensor) -> int:
    return int((patches.float() - patch).abs().amax(dim=2).amin(dim=1).argmin())


def test_no_image_meets_its_own_patches(fitted: SoftPatch, patches: torch.Tensor) -> None:
    memory = {key: value.numpy() for key, value in fitted.state().items()}
    remembered = torch.from_numpy(memory["patches"] * memory["deviation"] + memory["mean"])
    owner = np.array([image_of(patches, patch) for patch in remembered])
    np.testing.assert_allclose(fitted.score(ROWS), slow_scores(patches, memory, owner), rtol=1e-3)


def test_an_image_that_is_there_twice_does_not_vouch_for_itself(
    patches: torch.Tensor, settings: Settings
) -> None:
    copied = torch.cat([patches, patches[:1]])
    detector = SoftPatch(copied, settings())
    detector.fit(np.arange(N_IMAGES + 1), epochs=1)
    first, copy = detector.score(np.array([0, N_IMAGES]))
    assert first == copy > 0.1


def test_the_memory_is_drawn_from_what_it_is_fitted_on_alone(patches: torch.Tensor, settings: Settings) -> None:
    detector = SoftPatch(patches, settings())
    detector.fit(ROWS[:10], epochs=1)
    other = SoftPatch(torch.cat([patches[:10], patches[10:] + 1]), settings())
    other.fit(ROWS[:10], epochs=1)
    np.testing.assert_array_equal(other.score(ROWS[:10]), detector.score(ROWS[:10]))


def test_a_saved_detector_gives_identical_scores(
    fitted: SoftPatch, patches: torch.Tensor, tmp_path: Path
) -> None:
    write_model(tmp_path / "model.safetensors", fitted.export())
    restored = SoftPatch.restore(read_model(tmp_path / "model.safetensors"), patches)
    np.testing.assert_array_equal(restored.score(ROWS), fitted.score(ROWS))


def test_training_goes_on_from_a_state(fitted: SoftPatch, patches: torch.Tensor) -> None:
    other = fitted.fresh("judge")
    with pytest.raises(RuntimeError, match="only after fit"):
        other.score(ROWS)
    assert other.state() == {}
    other.load_state(fitted.state())
    np.testing.assert_array_equal(other.score(ROWS), fitted.score(ROWS))
