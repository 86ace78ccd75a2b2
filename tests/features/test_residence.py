import numpy as np
import pytest
import torch

from irp_kedro.features.residence import ResidentViews, StreamedViews, as_views, averaged, place

CPU = torch.device("cpu")


@pytest.fixture
def features() -> torch.Tensor:
    """(5 images, 3 views, 2 features), every value different."""
    return torch.arange(30.0).view(5, 3, 2).half()


def test_a_bank_larger_than_its_share_of_the_memory_is_streamed(features: torch.Tensor) -> None:
    assert features.nbytes == 60
    assert isinstance(place(features, CPU, memory=120), torch.Tensor)
    assert isinstance(place(features, CPU, memory=119), StreamedViews)
    assert isinstance(place(features, CPU), torch.Tensor)  # the host's own memory is no limit of a device


@pytest.mark.parametrize("kind", [ResidentViews, lambda features: StreamedViews(features, CPU)])
def test_pairs_of_image_and_view_are_gathered_in_the_order_asked(kind: object, features: torch.Tensor) -> None:
    views = kind(features)  # type: ignore[operator]
    assert (views.shape, views.device) == ((5, 3, 2), CPU)
    images, chosen = np.array([4, 0, 4]), np.array([2, 1, 2])
    assert torch.equal(views.gather(images, chosen), features[images, chosen])


def test_resident_views_are_no_copy(features: torch.Tensor) -> None:
    views = as_views(features)
    features[2, 1] = 99.0
    assert views.gather(np.array([2]), np.array([1])).tolist() == [[99.0, 99.0]]


def test_streamed_views_stay_what_they_are(features: torch.Tensor) -> None:
    streamed = StreamedViews(features, CPU)
    assert as_views(streamed) is streamed


def test_averages_are_taken_in_parts(features: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irp_kedro.features.residence.AVERAGED_TOGETHER", 2)
    means = averaged(as_views(features))
    torch.testing.assert_close(means, features.float().mean(dim=1))
