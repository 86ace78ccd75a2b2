"""Gradients at the pixels, against the same gradient taken another way, and on a defect drawn by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.localization import Differentiable, MapsItself, gradient_maps
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.backbone import Backbone
from irp_kedro.features.views import even_angles, rotate

Settings = Callable[..., DetectorSettings]
SIDE = 64
DEFECT = (slice(36, 44), slice(12, 20))


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone("efficientnet_lite0", (1.0,))


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Fourteen grey surfaces with a little texture; the last has a bright square."""
    generator = torch.Generator().manual_seed(0)
    images = 0.5 + 0.03 * torch.randn(14, 1, SIDE, SIDE, generator=generator).expand(-1, 3, -1, -1).clone()
    images[-1, :, *DEFECT] = 1.0
    return images


def views_of(backbone: Backbone, images: Tensor, n_views: int) -> Tensor:
    with torch.inference_mode():
        return backbone(rotate(images, even_angles(n_views))).view(len(images), n_views, -1).clone()


def trained(kind: type, backbone: Backbone, images: Tensor, settings: DetectorSettings) -> Differentiable:
    detector = kind(views_of(backbone, images, 4), settings)
    detector.fit(np.arange(13), epochs=20)
    return detector


@pytest.mark.parametrize("kind", [DifferNet, Gaussian])
def test_the_map_is_highest_at_the_defect(
    kind: type, backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(kind, backbone, images, settings())
    (found,) = gradient_maps(detector, backbone, images[-1:], even_angles(4))
    assert found.shape == (SIDE // 2, SIDE // 2)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert DEFECT[0].start - 8 <= 2 * row <= DEFECT[0].stop + 8
    assert DEFECT[1].start - 8 <= 2 * column <= DEFECT[1].stop + 8


@pytest.mark.parametrize("kind", [DifferNet, Gaussian])
def test_scores_of_features_are_the_scores_of_the_bank(
    kind: type, backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(kind, backbone, images, settings())
    scores = detector.score_features(views_of(backbone, images, 4)).detach()
    np.testing.assert_allclose(scores.numpy(), detector.score(np.arange(14)), rtol=1e-5)  # type: ignore[attr-defined]


def test_a_map_turns_with_its_image(backbone: Backbone, images: Tensor, settings: Settings) -> None:
    detector = trained(DifferNet, backbone, images, settings())
    upright = gradient_maps(detector, backbone, images[-1:], even_angles(4))[0]
    turned = gradient_maps(detector, backbone, images[-1:].rot90(1, (2, 3)), even_angles(4))[0]
    torch.testing.assert_close(turned, upright.rot90(1, (0, 1)), rtol=1e-3, atol=1e-3 * float(upright.max()))


def test_an_image_s_map_does_not_depend_on_the_images_beside_it(
    backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(Gaussian, backbone, images, settings())
    alone = gradient_maps(detector, backbone, images[-1:], even_angles(2))
    together = gradient_maps(detector, backbone, images[-3:], even_angles(2))[-1:]
    torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-3 * float(alone.max()))


def test_the_gradient_is_the_one_that_small_steps_give(
    backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(Gaussian, backbone, images, settings())
    image = images[-1:].clone().requires_grad_()
    score = detector.score_features(backbone(image)[:, None])
    (slope,) = torch.autograd.grad(score.sum(), image)
    step = torch.zeros_like(image)
    step[:, :, *DEFECT] = 1e-3
    with torch.inference_mode():
        ahead, behind = (detector.score_features(backbone(image + s * step)[:, None]) for s in (1, -1))
    assert float((ahead - behind) / 2) == pytest.approx(float((slope * step).sum()), rel=0.05)


@pytest.mark.parametrize("score", ["latent_energy", "negative_log_likelihood"])
def test_the_mean_of_a_map_rises_with_the_score_and_stays_in_half_precision(
    score: str, backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(DifferNet, backbone, images, settings(score=score))
    beyond = images[-1:] * torch.tensor([0.0, 2.0, 0.0]).view(1, 3, 1, 1)
    shown = torch.cat([images, beyond])
    with torch.inference_mode():
        scores = detector.score_features(backbone(shown)[:, None])
    found = gradient_maps(detector, backbone, shown, even_angles(1))
    assert found.mean(dim=(1, 2)).argsort().tolist() == scores.argsort().tolist()
    assert (found > 0).all()
    assert found.max() < torch.finfo(torch.float16).max


def test_nothing_is_left_on_the_weights_and_no_graph_is_kept(
    backbone: Backbone, images: Tensor, settings: Settings
) -> None:
    detector = trained(DifferNet, backbone, images, settings())
    found = gradient_maps(detector, backbone, images[:2], even_angles(2))
    assert not found.requires_grad
    assert all(weight.grad is None for weight in backbone.parameters())


def test_detectors_say_how_they_show_places() -> None:
    assert [hasattr(DifferNet, name) for name in ("score_features", "anomaly_map")] == [True, False]
    assert [hasattr(Gaussian, name) for name in ("score_features", "anomaly_map")] == [True, False]
    assert [hasattr(PatchMemory, name) for name in ("score_features", "anomaly_map")] == [False, True]
    assert issubclass(PatchMemory, MapsItself)
