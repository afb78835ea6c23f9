"""A call on a GPU, recorded once as a CUDA graph and replayed: no launch of a kernel waits for Python."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from eradio.profile.engines.base import Outputs, Prepared, tensors_in

_WARM_UP = 3
"""Calls before the graph is recorded, so that nothing is allocated, chosen or compiled while it is."""


class RecordedPrepared(Prepared):
    """One recorded call of a module on a batch that stays where it is."""

    def __init__(self, module: Callable[[Tensor], object], pictures: Tensor) -> None:
        """Record it.

        Args:
            module: what is called.
            pictures: [B, 3, H, W] on the GPU.

        Raises:
            RuntimeError: the call does what a graph cannot hold.
        """
        self._held: tuple[object, ...] = (module, pictures)  # the graph reads and writes their memory
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode():
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    module(pictures)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                self._given: tuple[Tensor, ...] = tensors_in(module(pictures))

    def run(self, calls: int = 1) -> None:
        """See `Prepared.run`."""
        for _ in range(calls):
            self._graph.replay()
        torch.cuda.synchronize()

    def outputs(self) -> Outputs:
        """See `Prepared.outputs`."""
        self.run()
        return tuple(np.array(tensor.float().cpu().numpy()) for tensor in self._given)

    def close(self) -> None:
        """See `Prepared.close`."""
        if self._held:
            self._graph.reset()
            self._held, self._given = (), ()
            torch.cuda.empty_cache()
