"""What holds for every detector of the registry, and the registry itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.registry import DETECTORS, check_detector_name, detector_type
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.errors import ParameterError

Settings = Callable[..., DetectorSettings]
ROWS, NORMAL = np.arange(40), np.arange(36)
# Those that work on pixels are no detectors of numbers drawn at random; they are tested on images.
NAMES = [name for name, entry in DETECTORS.items() if entry.features != "pixels"]
every_detector = pytest.mark.parametrize("name", NAMES)
# Its mean patch and its scale of the channels are those of all images at hand, whoever is in the set.
TAKES_STATISTICS_OF_ALL = {"patch_memory", "fine_patch_memory", "colour_memory"}


@every_detector
def test_what_lies_far_from_the_training_set_scores_higher(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=8)
    scores = detector.score(ROWS)
    assert scores[36:].min() > scores[:36].max()


@every_detector
def test_scores_are_one_double_a_row_in_the_order_asked(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=1)
    asked = np.array([39, 0, 7, 7])
    scores = detector.score(asked)
    assert (scores.shape, scores.dtype) == ((4,), np.float64)
    np.testing.assert_allclose(scores, detector.score(ROWS)[asked], rtol=1e-5)


@every_detector
def test_the_same_seed_gives_the_same_scores(name: str, features: torch.Tensor, settings: Settings) -> None:
    scores = []
    for _ in range(2):
        detector = detector_type(name)(features, settings(seed=5))
        detector.fit(NORMAL, epochs=3)
        scores.append(detector.score(ROWS))
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TAKES_STATISTICS_OF_ALL])
def test_images_outside_the_training_rows_teach_nothing(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    changed = features.clone()
    changed[36:] = -9.0
    scores = []
    for seen in (features, changed):
        detector = detector_type(name)(seen, settings())
        detector.fit(NORMAL, epochs=2)
        scores.append(detector.score(NORMAL))
    np.testing.assert_array_equal(*scores)


@every_detector
def test_a_saved_detector_gives_identical_scores(
    name: str, features: torch.Tensor, settings: Settings, tmp_path: Path
) -> None:
    detector = detector_type(name)(features, settings(), "elsewhere")
    detector.fit(ROWS, epochs=2)
    write_model(tmp_path / "model.safetensors", detector.export())
    saved = read_model(tmp_path / "model.safetensors")
    restored = detector_type(saved.detector).restore(saved, features)
    assert saved.detector == name
    np.testing.assert_array_equal(restored.score(ROWS), detector.score(ROWS))


@every_detector
def test_an_export_does_not_change_when_training_goes_on(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=1)
    exported = detector.export()
    before = detector.score(ROWS)
    detector.fit(NORMAL[:20], epochs=3)
    restored = detector_type(name).restore(exported, features)
    np.testing.assert_array_equal(restored.score(ROWS), before)
    assert not np.array_equal(detector.score(ROWS), before)


@every_detector
def test_a_fresh_detector_is_untrained_and_leaves_the_old_one_alone(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=1)
    before = detector.score(ROWS)
    fresh = detector.fresh("judge")
    with pytest.raises(RuntimeError, match=r"only after fit\(\) or restore\(\)"):
        fresh.score(ROWS)
    fresh.fit(NORMAL[:20], epochs=1)
    np.testing.assert_array_equal(detector.score(ROWS), before)


@every_detector
def test_an_untrained_detector_neither_scores_nor_exports(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    for act in (lambda: detector.score(ROWS), detector.export):
        with pytest.raises(RuntimeError, match=r"only after fit\(\) or restore\(\)"):
            act()


@every_detector
def test_a_feature_that_never_varies_blows_nothing_up(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    features[:, :, 3] = 0.25
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=2)
    scores = detector.score(ROWS)
    assert np.isfinite(scores).all()
    assert scores.max() < 1e4


@every_detector
def test_global_random_state_is_neither_read_nor_written(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    scores = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        detector = detector_type(name)(features, settings())
        detector.fit(NORMAL, epochs=2)
        scores.append(detector.score(ROWS))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(*scores)


def test_a_misspelt_detector_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match=r"'diffnet' is no detector; did you mean 'differnet'\?"):
        detector_type("diffnet")


def test_the_parameter_at_fault_is_named() -> None:
    with pytest.raises(ParameterError, match=r"^refinement\.judge = 'gausian' is no detector"):
        check_detector_name("gausian", "refinement.judge")


def test_names_are_checked_without_loading_torch() -> None:
    code = (
        "import sys; from irp_kedro.detectors.registry import check_detector_name as check; "
        "check('gaussian'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_detector
def test_training_goes_on_from_a_kept_state_as_if_it_had_never_stopped(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    unbroken = detector_type(name)(features, settings())
    unbroken.fit(NORMAL, epochs=3)
    state = {key: value.clone() for key, value in unbroken.state().items()}
    unbroken.fit(NORMAL[:30], epochs=2)
    resumed = detector_type(name)(features, settings())
    resumed.load_state(state)
    resumed.fit(NORMAL[:30], epochs=2)
    np.testing.assert_array_equal(resumed.score(ROWS), unbroken.score(ROWS))


@every_detector
def test_a_kept_state_scores_before_any_further_training(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    trained = detector_type(name)(features, settings())
    trained.fit(NORMAL, epochs=2)
    resumed = detector_type(name)(features, settings())
    resumed.load_state(trained.state())
    np.testing.assert_array_equal(resumed.score(ROWS), trained.score(ROWS))


@every_detector
def test_a_kept_state_does_not_follow_later_training(
    name: str, features: torch.Tensor, settings: Settings
) -> None:
    detector = detector_type(name)(features, settings())
    detector.fit(NORMAL, epochs=1)
    state = detector.state()
    before = {key: value.clone() for key, value in state.items()}
    detector.fit(NORMAL[:20], epochs=2)
    assert all(torch.equal(state[key], before[key]) for key in before)
