from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.registry import check_detector_name
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.errors import ParameterError
from irp_kedro.parameters import FlowParameters, TrainingParameters, ViewParameters

needs_anomalib = pytest.mark.skipif(find_spec("anomalib") is None, reason="the extra anomalib is not installed")
SEEN, ODD = np.arange(12), 13


def pixels() -> torch.Tensor:
    """Fourteen grey images of noise; the last one has a white square."""
    images = torch.randint(90, 130, (14, 64, 64, 3), generator=torch.Generator().manual_seed(0))
    images[ODD, 20:44, 20:44] = 255
    return images.to(torch.uint8)


def settings() -> DetectorSettings:
    return DetectorSettings(
        flow=FlowParameters(),
        training=TrainingParameters(),
        views=ViewParameters(),
        score="latent_energy",
        seed=0,
    )


@pytest.mark.skipif(find_spec("anomalib") is not None, reason="the extra anomalib is installed")
def test_without_the_extra_the_error_says_how_to_install_it() -> None:
    with pytest.raises(ParameterError, match=r"pip install 'irp-kedro\[anomalib\]'"):
        check_detector_name("anomalib_patchcore", "refinement.judge")


@needs_anomalib
def test_an_odd_image_scores_highest_and_its_map_is_highest_inside_the_square() -> None:
    from irp_kedro.detectors.anomalib_models import AnomalibPatchcore

    detector = AnomalibPatchcore(pixels(), settings())
    detector.fit(SEEN, epochs=1)
    scores = detector.score(np.array([12, ODD]))
    assert scores[1] > 2 * scores[0]
    highest = int(detector.anomaly_map(np.array([ODD]))[0].argmax())
    assert 16 <= highest // 64 < 48
    assert 16 <= highest % 64 < 48


@needs_anomalib
def test_a_saved_memory_gives_identical_scores_and_another_fit_the_same_memory(tmp_path: Path) -> None:
    from irp_kedro.detectors.anomalib_models import AnomalibPatchcore

    detector = AnomalibPatchcore(pixels(), settings())
    detector.fit(SEEN, epochs=1)
    write_model(tmp_path / "model.safetensors", detector.export())
    restored = AnomalibPatchcore.restore(read_model(tmp_path / "model.safetensors"), pixels())
    again = detector.fresh("detector")
    again.fit(SEEN, epochs=1)
    for other in (restored, again):
        np.testing.assert_array_equal(other.score(SEEN), detector.score(SEEN))
