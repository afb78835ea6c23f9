"""PyTorch's own compiler, torch.compile: weights frozen into the program, one fixed shape, on a GPU one CUDA graph."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from eradio.errors import EradioError
from eradio.profile.engines.base import Facts, Job, Prepared
from eradio.profile.engines.eager import TorchPrepared, brought, exact, torch_threads
from eradio.profile.engines.recorded import RecordedPrepared
from eradio.tracing import quietly


class Inductor:
    """Compiles the whole network as one program, for as many threads as asked for."""

    name = "inductor"

    def prepare(self, module: nn.Module, job: Job) -> Prepared:
        """See `Engine.prepare`."""
        flat, pictures = brought(module, job)
        compiled = torch.compile(flat, fullgraph=True, dynamic=False)
        prepared = TorchPrepared(compiled, pictures, job.threads)
        with _settings(), torch_threads(job.threads), exact(pictures.device), quietly():
            try:
                prepared.run()
            except RuntimeError as error:
                reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
                raise EradioError(
                    f"torch.compile cannot compile this network: {reason.strip()[:200]}. "
                    "Measure it with the engine 'eager' instead."
                ) from error
            if pictures.is_cuda:
                return _recorded(compiled, pictures, prepared)
        return prepared


def _recorded(compiled: Callable[[Tensor], tuple[Tensor, ...]], pictures: Tensor, plain: Prepared) -> Prepared:
    """The compiled calls as one CUDA graph; as they are, if they do what a graph cannot hold."""
    try:
        return RecordedPrepared(compiled, pictures)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        plain.facts = Facts(fallback=("the launching of kernels, as the calls cannot be recorded as a CUDA graph",))
        return plain


@contextmanager
def _settings() -> Iterator[None]:
    """For the first call, which compiles; they are settings of the process, as options of one call miss the tracing.

    Networks share the code of `Flat`, so to the compiler each further one looks like a change of the first.
    """
    many = torch._dynamo.config.patch(recompile_limit=10_000, accumulated_recompile_limit=10_000)
    frozen = torch._inductor.config.patch({"freezing": True})
    with many, frozen:
        yield
