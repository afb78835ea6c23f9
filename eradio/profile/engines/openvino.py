"""OpenVINO on the CPU: one stream, as many threads as asked for."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.profile.engines.base import Flat, Job, Outputs, Prepared
from eradio.tracing import quietly


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
    from openvino.tools.ovc.error import Error as ConversionError

_REFUSALS = (
    RuntimeError,
    frontend.GeneralFailure,
    frontend.NotImplementedFailure,
    frontend.OpConversionFailure,
    frontend.OpValidationFailure,
    ConversionError,
)


_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVino:
    """Converts the module by way of its trace, then compiles it for the CPU plug-in."""

    name = "openvino"

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        pictures = job.pictures.contiguous()
        try:
            return _compiled(_convert(module, pictures), job)
        except _REFUSALS as error:
            raise _refusal(error) from error

    def prepare_onnx(self, path: Path, job: Job) -> Prepared:
        """Load a network that already is an ONNX file, with one input [B, 3, H, W].

        Raises:
            EradioError: OpenVINO refuses the file or the pictures.
        """
        try:
            return _compiled(openvino.convert_model(path, input=[_input(job.pictures)]), job)
        except _REFUSALS as error:
            raise _refusal(error) from error


def _compiled(model: Any, job: Job) -> Prepared:
    if job.precision == "int8":
        model = _quantised(model, job)
    settings = {  # all three explicit: by itself the plug-in takes bfloat16, every core, and many streams
        "INFERENCE_PRECISION_HINT": _HINTS[job.precision],
        "INFERENCE_NUM_THREADS": job.threads,
        "NUM_STREAMS": 1,
    }
    if _mistaken(model):
        settings["SNIPPETS_MODE"] = "DISABLE"
    return _Prepared(openvino.Core().compile_model(model, "CPU", settings).create_infer_request(), job.pictures)


def _mistaken(model: Any) -> bool:
    """Whether some attention has as many heads as places.

    OpenVINO 2026.4 merges attention into one kernel, and where both numbers are equal it takes one axis for the other:
    its answers are wrong, by little where attention is even, as in a fresh network, and by much in a trained one.
    """
    shapes = {"ScaledDotProductAttention": (-3, -2), "Softmax": (1, 2)}
    for node in model.get_ops():
        heads, places = shapes.get(node.get_type_name(), (None, None))
        if heads is not None and node.get_output_partial_shape(0).is_static:
            shape = node.get_output_shape(0)
            if len(shape) == 4 and shape[heads] == shape[places]:
                return True
    return False


def _quantised(model: Any, job: Job) -> Any:
    """The same network with 8-bit integers where OpenVINO's own tool finds them accurate enough.

    Raises:
        EradioError: the tool is missing.
    """
    try:
        with _without_telemetry():
            import nncf
    except ImportError as error:
        raise EradioError(
            f"OpenVINO's int8 needs nncf, which cannot be imported ({error}). Run: pip install 'eradio[int8]'"
        ) from None
    assert job.calibration is not None
    pictures, size = job.calibration.numpy(), len(job.pictures)
    whole = range(0, len(pictures) - size + 1, size)
    nncf.set_log_level(logging.ERROR)
    with quietly(), redirect_stdout(StringIO()):
        return nncf.quantize(
            model, nncf.Dataset(whole, lambda start: pictures[start : start + size]), subset_size=len(whole)
        )


def _convert(module: nn.Module, pictures: Tensor) -> Any:
    """Trace, freeze, convert: a third of the time of `torch.export`; freezing first halves what is converted.

    A trace records one path through the code; the comparison with eager guards against a wrong one.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of every constant shape
        traced = torch.jit.trace(Flat(module), pictures, check_trace=False)  # type: ignore[no-untyped-call]
        converted = openvino.convert_model(torch.jit.freeze(traced), input=[_input(pictures)])
    if not any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        torch._C._jit_clear_class_registry()  # it holds every frozen network's weights for good
    return converted


def _input(pictures: Tensor) -> tuple[tuple[int, ...], Any]:
    """Shape and type; without the type a network that begins with arithmetic is left without any."""
    return tuple(pictures.shape), openvino.Type.f32


def _refusal(error: Exception) -> EradioError:
    reason = str(error).strip().splitlines()[-1].strip(" -.")
    return EradioError(f"OpenVINO cannot convert this network: {reason}. Measure it with the engine 'eager' instead.")


class _Prepared(Prepared):
    def __init__(self, request: Any, pictures: Tensor) -> None:
        self._request = request
        self._pictures = pictures.contiguous().numpy()  # the request reads this memory, so it must live as long
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
