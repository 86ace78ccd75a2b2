"""Where the features of a set live while the loop runs: on the device, or streamed to it (decision 0037)."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from irp_kedro.core.detector import Rows
from irp_kedro.features.device import upload

DEVICE_SHARE = 0.5  # of the device's memory; a larger bank is streamed
AVERAGED_TOGETHER = 1024  # images

Views = npt.NDArray[np.intp]


class ViewSource(Protocol):
    """The views of every image of a set; ``gather`` brings some of them together on the device.

    Attributes:
        shape: (n_images, n_views, n_features).
        device: where gathered views are.
    """

    shape: tuple[int, int, int]
    device: torch.device

    def gather(self, images: Rows, views: Views) -> Tensor:
        """Return the vectors (n, n_features) of n pairs of image and view, float16 as in the bank."""
        ...


class ResidentViews:
    """Features that lie on the device as a whole.

    Args:
        features: (n_images, n_views, n_features), on the device.
    """

    def __init__(self, features: Tensor) -> None:
        self.shape = _three(features)
        self.device = features.device
        self._vectors = features.flatten(0, 1)

    def gather(self, images: Rows, views: Views) -> Tensor:
        """Return the vectors of pairs of image and view: one gather, on the device."""
        return self._vectors.index_select(0, upload(images * self.shape[1] + views, self.device))


class StreamedViews:
    """Features that stay on the host; what is gathered passes through pinned memory.

    Args:
        features: (n_images, n_views, n_features), on the host; a memory map will do.
        device: where gathered views go.
    """

    def __init__(self, features: Tensor, device: torch.device) -> None:
        self.shape = _three(features)
        self.device = device
        self._vectors = features.flatten(0, 1)

    def gather(self, images: Rows, views: Views) -> Tensor:
        """Return the vectors of pairs of image and view; the device fetches them while the host goes on."""
        chosen = torch.from_numpy(images * self.shape[1] + views)
        if self.device.type != "cuda":
            return self._vectors.index_select(0, chosen).to(self.device)
        # torch's cache of pinned memory gives the same pages back once the device has read them.
        staged = torch.empty(len(chosen), self.shape[2], dtype=self._vectors.dtype, pin_memory=True)
        torch.index_select(self._vectors, 0, chosen, out=staged)
        return staged.to(self.device, non_blocking=True)


def place(features: Tensor, device: torch.device, *, memory: int | None = None) -> Tensor | StreamedViews:
    """Return features (n_images, n_views, n_features) on the device, or streamed where they do not fit.

    Args:
        features: on the host.
        device: that trains.
        memory: of the device, bytes; by default what CUDA reports, and no limit elsewhere.
    """
    if memory is None and device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    if memory is not None and features.nbytes > DEVICE_SHARE * memory:
        return StreamedViews(features, device)
    return features.to(device)


def as_views(features: Tensor | ViewSource) -> ViewSource:
    """Return features as they are, or a tensor as views that lie where it lies."""
    return ResidentViews(features) if isinstance(features, Tensor) else features


def averaged(views: ViewSource) -> Tensor:
    """Return each image's features averaged over its views, (n_images, n_features), on the device."""
    n_images, n_views, n_features = views.shape
    means = torch.empty(n_images, n_features, device=views.device)
    for start in range(0, n_images, AVERAGED_TOGETHER):
        images = np.arange(start, min(start + AVERAGED_TOGETHER, n_images))
        some = views.gather(np.repeat(images, n_views), np.tile(np.arange(n_views), len(images)))
        means[start : start + len(images)] = some.view(len(images), n_views, -1).float().mean(dim=1)
    return means


def _three(features: Tensor) -> tuple[int, int, int]:
    n_images, n_views, n_features = features.shape
    return n_images, n_views, n_features
