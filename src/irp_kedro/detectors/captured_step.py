"""A training step recorded once as a CUDA graph, and played again: one launch instead of several hundred.

The default flow's step is small: on a GPU, starting its operations one by one takes many times as long as they
run (docs/PERFORMANCE.md).
"""

import logging
import threading
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

RECORDING = threading.Lock()
WARMING_UP = 3  # steps before one is recorded: they make Adam's moments, and load kernels

Step = Callable[[Tensor], Tensor]


class CapturedStep:
    """Takes training steps on batches of one shape: the first few as they come, the others by a graph.

    A graph reads and writes the addresses that it was recorded with: make another one where weights or Adam's
    moments are replaced, not filled.
    """

    def __init__(self) -> None:
        self._warmed_up = 0
        self._stream: torch.cuda.Stream | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch = self._loss = torch.empty(0)
        self._refused = False

    @staticmethod
    def possible(device: torch.device) -> bool:
        """Return whether ``device`` is a GPU that is there; tests have fake ones."""
        return device.type == "cuda" and torch.cuda.is_available()

    def take(self, step: Step, batch: Tensor) -> Tensor:
        """Take a step on ``batch`` (n, n_features), of the same shape each time; return its loss.

        The loss is overwritten by the next step. Nothing waits for the device but the recording, once.

        Args:
            step: the same each time; what it makes of a batch depends on no value that the host would read.
            batch: on the device.
        """
        if self._graph is None and self._warmed_up == WARMING_UP and not self._refused:
            self._record(step, batch)
        if self._graph is None:
            self._warmed_up = min(self._warmed_up + 1, WARMING_UP)
            return self._aside(step, batch)
        self._batch.copy_(batch)
        self._graph.replay()
        return self._loss

    def _aside(self, step: Step, batch: Tensor) -> Tensor:
        """Take a step on the stream that records: what autograd keeps of a step belongs to its stream."""
        if self._stream is None:
            self._stream = torch.cuda.Stream(batch.device)
        here = torch.cuda.current_stream(batch.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            loss = step(batch)
        here.wait_stream(self._stream)
        return loss

    def _record(self, step: Step, batch: Tensor) -> None:
        graph, held = torch.cuda.CUDAGraph(), batch.clone()
        try:
            # Nodes may run in threads: another one may allocate meanwhile, but not record.
            with RECORDING, torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                loss = step(held)
        except torch.OutOfMemoryError:
            # A graph's memory is its own, beside what steps have used so far.
            logger.warning("the device's memory ended recording a training step; going on without recording")
            self._refused = True
            return
        self._graph, self._batch, self._loss = graph, held, loss
