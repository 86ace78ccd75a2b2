"""What may pass between host and device, and what happens when the device's memory ends.

Nothing inside an epoch or a cycle waits for the device: indexes go there without waiting (:func:`upload`),
losses and scores come back through one door (:func:`download`), which tests count.
"""

import ctypes
import logging
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

logger = logging.getLogger(__name__)

T = TypeVar("T")

BatchViews = int | Literal["auto"]

VIEWS_TOGETHER_ON_CPU, VIEWS_TOGETHER_ON_GPU = 16, 64

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, where it is glibc, instead of handing it back to the system.

    The gradients of a large flow are allocated anew in each step, the maps of a backbone in each pass; clearing
    their pages each time takes the system a fifth of both (docs/PERFORMANCE.md). It holds for the process; what
    is kept is used again.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # its largest value
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def upload(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Return ``values`` on ``device``; a CUDA device fetches them from pinned memory while the host goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def download(values: Tensor) -> npt.NDArray[Any]:
    """Return ``values`` on the host: the one place where the loop waits for the device."""
    return values.detach().cpu().numpy()


def with_halving(run: Callable[[int], T], size: int, what: str) -> tuple[T, int]:
    """Call ``run`` with ``size``, or with half of it as often as the device's memory ends; down to one.

    Args:
        run: does the work ``size`` at a time; called again from the start.
        size: views that pass together.
        what: is done, for the log.

    Returns:
        What ``run`` returned, and the size that fitted.

    Raises:
        torch.OutOfMemoryError: not even one fits.
    """
    while True:
        try:
            return run(size), size
        except torch.OutOfMemoryError:
            # A CUDA graph that is being recorded ends here; whoever records goes on without one.
            if size == 1 or (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()):
                raise
        # Only here, outside the handler, are the tensors of the failed attempt gone.
        size //= 2
        logger.warning("%s: the device's memory ended; going on with %d views at a time", what, size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def resolve_batch_views(batch_views: BatchViews, device: torch.device) -> int:
    """Return how many views pass the backbone together where ``auto`` is asked for.

    A CPU's caches hold what few views make; a GPU takes as long to start the operations of few as of many.
    """
    if batch_views != "auto":
        return batch_views
    return VIEWS_TOGETHER_ON_CPU if device.type == "cpu" else VIEWS_TOGETHER_ON_GPU


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return the arithmetic that ``auto`` stands for on ``device``.

    bfloat16 pays on GPUs and on CPUs that multiply it in hardware; elsewhere it is emulated and many times
    slower (docs/decisions/0018).
    """
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
