"""A network brought to where it can be timed: built, counted, converted, and compared with eager."""

import copy
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from eradio.errors import BuildError, EradioError, MachineError, NetworkError, NoMemoryError, memory_was_short
from eradio.profile.agreement import agreement
from eradio.profile.complexity import Complexity, UncountedError, complexity
from eradio.profile.engines import LISTINGS, load_engine
from eradio.profile.engines.base import Engine, Job, Outputs, Prepared
from eradio.profile.engines.eager import Eager
from eradio.profile.randomise import randomise_constants
from eradio.profile.record import Agreement
from eradio.profile.subject import Subject
from eradio.profile.target import Target
from eradio.search_space import Backbone, deploy


@dataclass(frozen=True)
class Ready:
    """A subject that an engine has prepared."""

    subject: Subject
    module: nn.Module | None
    """Its deploy form, on the CPU in float32; None for an ONNX file."""
    prepared: Prepared
    seconds: float
    """Elapsed seconds of the engine's preparation."""
    parameters: int
    paper: Complexity | None
    """None for an ONNX file, which fvcore cannot count, and for what does something that it does not know."""
    agreement: Agreement
    notes: tuple[str, ...] = ()
    """What could not be done, in sentences."""
    calibration: Tensor | None = None

    @contextmanager
    def on(self, target: Target) -> Iterator[Prepared]:
        """The network prepared for another batch of the same target, and compared with eager as the first was.

        Raises:
            EradioError: the engine cannot run it, or computes something else.
        """
        job = job_of(target, self.calibration)
        with _prepared(self.subject, self.module, target.engine, job) as prepared:
            wanted = _onnx_reference(self.subject.onnx, job) if self.subject.onnx else eager_outputs(self.module, job)
            agreement(prepared.outputs(), wanted, target.engine, target.precision)
            yield prepared


@contextmanager
def made_ready(subject: Subject, target: Target, calibration: Tensor | None = None) -> Iterator[Ready]:
    """Prepare a network for a target and check what it computes; what was prepared is closed afterwards.

    What runs is the deploy form: batch norms folded and position biases computed, as far as they are ours, and what
    timm offers of the kind for its own. What is counted is the network as it is trained.

    Raises:
        EradioError: the engine is missing, cannot run the network, or computes something else.
    """
    job = job_of(target, calibration)
    load_engine(target.engine)  # a missing one is said before anything slow is done
    with ExitStack() as open_ones:
        if subject.onnx is not None:
            parameters, paper, module = onnx_parameters(subject.onnx), None, None
            told: tuple[str, ...] = ()
            start = time.perf_counter()
            prepared = open_ones.enter_context(_prepared(subject, None, target.engine, job))
            seconds = time.perf_counter() - start
            wanted = _onnx_reference(subject.onnx, job)
        else:
            assert subject.module is not None
            network = _still(copy.deepcopy(subject.module))
            _try(network, job.pictures)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            paper, told = _counted(network, target.resolution)
            module = deployed(network, target.resolution)
            del network  # the largest teachers fit a machine a few times only
            start = time.perf_counter()
            prepared = open_ones.enter_context(_prepared(subject, module, target.engine, job))
            seconds = time.perf_counter() - start
            wanted = eager_outputs(module, job)
        close = agreement(prepared.outputs(), wanted, target.engine, target.precision)
        yield Ready(subject, module, prepared, seconds, parameters, paper, close, told, calibration)


def _counted(network: nn.Module, resolution: int) -> tuple[Complexity | None, tuple[str, ...]]:
    """What a network costs on paper; that it is not known stops no measurement."""
    try:
        return complexity(network, resolution), ()
    except UncountedError as error:
        return None, (str(error),)


def eager_outputs(module: nn.Module | None, job: Job) -> Outputs:
    """What float32 eager computes: on the device, or on the CPU if there is no room beside what was prepared."""
    assert module is not None
    plain = Job(job.pictures, job.threads, device=job.device)
    try:
        with Eager().prepare(module, plain) as eager:
            return eager.outputs()
    except torch.OutOfMemoryError:
        with Eager().prepare(module, replace(plain, device="cpu")) as eager:
            return eager.outputs()


def prepared_alone(subject: Subject, engine: str, job: Job) -> Prepared:
    """A network as `made_ready` prepares it, neither counted nor compared; the subject's own module is used up.

    Raises:
        EradioError: the engine is missing, or cannot run the network.
    """
    if subject.module is None:
        return _prepared(subject, None, engine, job)
    return _prepared(subject, deployed(_still(subject.module), job.pictures.shape[-1]), engine, job)


def _still(module: nn.Module) -> nn.Module:
    still = module.float().eval().requires_grad_(False)
    randomise_constants(still)
    return still


def deployed(module: nn.Module, resolution: int) -> nn.Module:
    """The deploy form for one resolution, as far as it is ours; what timm offers of the kind for its own networks."""
    if isinstance(module, Backbone):
        return deploy(module, (resolution, resolution))
    fused: nn.Module = reparameterize_model(module)
    return fused


@contextmanager
def sentences(name: str, engine: str) -> Iterator[None]:
    """What a network or an engine raises, as a sentence; what the system or we say stays.

    Raises:
        BuildError: anything but that was raised.
    """
    try:
        yield
    except (EradioError, OSError):
        raise
    except Exception as error:  # networks are the user's own, and engines have a class of their own for every failure
        why = " ".join(str(error).split()).rstrip(".")[:300] or type(error).__name__
        if memory_was_short(error):
            raise BuildError(
                f"{name} does not fit the memory ({why}). Choose a smaller batch or resolution."
            ) from error
        raise BuildError(f"{name} cannot be measured with {engine}: {type(error).__name__}: {why}.") from error


def job_of(target: Target, calibration: Tensor | None = None) -> Job:
    """What a target asks of an engine.

    Raises:
        EradioError: int8 is asked for without pictures to calibrate it on.
    """
    if target.precision == "int8" and calibration is None:
        raise EradioError("int8 needs calibration pictures; give a folder of pictures like those it will see.")
    used = calibration if target.precision == "int8" else None
    return Job(fixed_pictures(target), target.threads, target.precision, target.device, used)


def fixed_pictures(target: Target) -> Tensor:
    """The batch every network is measured on: [B, 3, R, R] float32 in [0, 1], always the same.

    Raises:
        NoMemoryError: it does not fit the memory.
    """
    shape = (target.batch, 3, target.resolution, target.resolution)
    try:
        return torch.rand(shape, generator=torch.Generator().manual_seed(0))
    except (MemoryError, RuntimeError):
        size = f"{target.batch} pictures of {target.resolution} pixels"
        raise NoMemoryError(f"There is no memory for {size}. Choose a smaller batch or resolution.") from None


def onnx_parameters(path: Path) -> int:
    """Number of weights in an ONNX file.

    Raises:
        EradioError: the file cannot be read as ONNX, or the library is missing.
    """
    try:
        import onnx

        graph = onnx.load(path, load_external_data=False).graph
    except ImportError as error:
        raise EradioError(f"An ONNX file needs onnx ({error}). Run: {LISTINGS['onnxruntime'].install}") from None
    except Exception as error:  # protobuf refuses a strange file with anything
        raise EradioError(f"{path} cannot be read as ONNX ({type(error).__name__}).") from None
    floats = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    sizes = (torch.Size(entry.dims).numel() for entry in graph.initializer if entry.data_type in floats)
    return sum(sizes)


def _prepared(subject: Subject, module: nn.Module | None, name: str, job: Job) -> Prepared:
    engine: Engine = load_engine(name)
    try:
        if subject.onnx is None:
            assert module is not None
            return engine.prepare(module, job)
        takes = getattr(engine, "prepare_onnx", None)
        if takes is None:
            raise EradioError(f"Engine '{engine.name}' takes no ONNX file; choose onnxruntime or openvino.")
        prepared: Prepared = takes(subject.onnx, job)
    except (NetworkError, MachineError):
        raise
    except EradioError as error:  # an engine's own sentence
        raise BuildError(str(error)) from error
    return prepared


def _onnx_reference(path: Path, job: Job) -> Outputs:
    """What the file says, computed by ONNX Runtime without any rewriting of the graph."""
    plain = Job(job.pictures, job.threads)
    with load_engine("onnxruntime").prepare_onnx(path, plain, optimise=False) as reference:  # type: ignore[attr-defined]
        outputs: Outputs = reference.outputs()
    return outputs


def _try(module: nn.Module, pictures: Tensor) -> None:
    """One picture through the network, since what it refuses is better said once, before any engine says it.

    Raises:
        NetworkError: it does not take pictures of this size.
    """
    try:
        with torch.inference_mode():
            module(pictures[:1])
    except NetworkError:
        raise
    except Exception as error:  # the network may be a user's own
        if memory_was_short(error):  # which says nothing about the resolution
            raise
        side, why = pictures.shape[2], " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise NetworkError(
            f"This network does not take {side}x{side} pixels: {why[:200]}. Choose another resolution."
        ) from None
