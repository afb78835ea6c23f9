"""OpenVINO on the CPU: one stream, as many threads as asked for."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.profile.engines.base import Flat, Job, Outputs, Prepared


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Importing openvino counts uses in the home folder and calls home unless its telemetry is missing."""
    missing = "openvino_telemetry" not in sys.modules
    if missing:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if missing:
            sys.modules.pop("openvino_telemetry", None)


with _without_telemetry():
    import openvino
    from openvino import frontend

_REFUSALS = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
)


_HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVino:
    """Converts the module by way of its trace, then compiles it for the CPU plug-in."""

    name = "openvino"

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        pictures = job.pictures.contiguous()
        try:
            model = _convert(module, pictures)
            compiled = openvino.Core().compile_model(
                model,
                "CPU",
                {  # all three explicit: by itself the plug-in takes bfloat16, every core, and many streams
                    "INFERENCE_PRECISION_HINT": _HINTS[job.precision],
                    "INFERENCE_NUM_THREADS": job.threads,
                    "NUM_STREAMS": 1,
                },
            )
        except _REFUSALS as error:
            reason = str(error).strip().splitlines()[-1].strip(" -.")
            raise EradioError(
                f"OpenVINO cannot convert this network: {reason}. Measure it with the engine 'eager' instead."
            ) from error
        return _Prepared(compiled.create_infer_request(), pictures)


def _convert(module: nn.Module, pictures: Tensor) -> Any:
    """Trace, freeze, convert: a third of the time of `torch.export`; freezing first halves what is converted.

    A trace records one path through the code; the comparison with eager guards against a wrong one.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of every constant shape
        traced = torch.jit.trace(Flat(module), pictures, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(torch.jit.freeze(traced), input=[tuple(pictures.shape)])


class _Prepared(Prepared):
    def __init__(self, request: Any, pictures: Tensor) -> None:
        self._request = request
        self._pictures = pictures.numpy()  # the request reads this memory, so it must live as long
        self._request.set_input_tensor(0, openvino.Tensor(self._pictures, shared_memory=True))
        self._count = len(request.model_outputs)

    def run(self, calls: int = 1) -> None:
        for _ in range(calls):
            self._request.infer(share_outputs=True)

    def outputs(self) -> Outputs:
        self.run()
        return tuple(
            np.array(self._request.get_output_tensor(place).data, dtype=np.float32) for place in range(self._count)
        )

    def close(self) -> None:
        self._request = None
