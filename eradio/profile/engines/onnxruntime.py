"""ONNX Runtime on the CPU, by way of an ONNX file of one fixed shape."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.onnx_file import write_onnx
from eradio.profile.engines.base import Facts, Flat, Job, Outputs, Prepared
from eradio.tracing import quietly


class OnnxRuntime:
    """Writes the module as ONNX, for int8 with the ranges that its calibration pictures show, and loads that."""

    name = "onnxruntime"

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            try:
                write_onnx(Flat(module), job.pictures, path, any_batch=False)
            except RuntimeError as error:
                raise _refusal(error) from error
            return self.prepare_onnx(path, job)

    def prepare_onnx(self, path: Path, job: Job, *, optimise: bool = True) -> Prepared:
        """Load a network that already is an ONNX file, with one input [B, 3, H, W].

        Args:
            path: the file; not needed any more afterwards.
            job: as in `prepare`.
            optimise: whether ONNX Runtime may rewrite the graph; without, it computes what the file says.

        Raises:
            EradioError: ONNX Runtime refuses the file or the pictures.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if not optimise:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        with TemporaryDirectory() as folder:
            if job.precision == "int8":
                path = _quantised(path, job, Path(folder))
            try:
                session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
                prepared = _Prepared(session, job.pictures)
                prepared.run()
            except EradioError:
                raise
            except Exception as error:  # its errors share no base class
                raise _refusal(error) from error
            prepared.facts = Facts(artifact_bytes=_size(path))
        return prepared


class _Calibration:
    """The calibration pictures, batch by batch, as ONNX Runtime asks for them."""

    def __init__(self, name: str, job: Job) -> None:
        assert job.calibration is not None
        size = len(job.pictures)
        whole = range(0, len(job.calibration) - size + 1, size)
        self._batches = iter([job.calibration[start : start + size] for start in whole])
        self._name = name

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch.numpy()}


def _quantised(path: Path, job: Job, folder: Path) -> Path:
    """The same network with weights (by channel) and activations as 8-bit integers."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    (name,) = (entry.name for entry in onnxruntime.InferenceSession(str(path)).get_inputs())
    with quietly():
        quantize_static(
            str(path),
            str(folder / "int8.onnx"),
            _Calibration(name, job),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return folder / "int8.onnx"


class _Prepared(Prepared):
    def __init__(self, session: Any, pictures: Tensor) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise EradioError(f"This ONNX file has {len(inputs)} inputs where one, of pictures, is needed.")
        self._session = session
        self._pictures = np.ascontiguousarray(pictures.numpy())  # the binding reads this memory
        self._binding = session.io_binding()
        self._binding.bind_cpu_input(inputs[0].name, self._pictures)
        for output in session.get_outputs():
            self._binding.bind_output(output.name)

    def run(self, calls: int = 1) -> None:
        for _ in range(calls):
            self._session.run_with_iobinding(self._binding)

    def outputs(self) -> Outputs:
        self.run()
        return tuple(np.asarray(output, dtype=np.float32) for output in self._binding.copy_outputs_to_cpu())

    def close(self) -> None:
        self._binding = self._session = None


def _refusal(error: Exception) -> EradioError:
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return EradioError(
        f"ONNX Runtime cannot run this network: {reason.strip()[:200]}. Measure it with the engine 'eager' instead."
    )


def _size(path: Path) -> int:
    beside = path.with_name(f"{path.name}.data")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
