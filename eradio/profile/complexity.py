"""Parameters, multiply-accumulates and activations of a network, counted with fvcore."""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from eradio.description import Description
from eradio.errors import EradioError
from eradio.profile.engines.base import Flat

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # importing fvcore warns that torch.jit.script is deprecated
    from fvcore.nn import FlopCountAnalysis
    from fvcore.nn.jit_handles import get_shape

Handle = Callable[[list[Any], list[Any]], Any]

_FREE = """
    abs adaptive_avg_pool1d adaptive_max_pool2d add add_ addcdiv addcmul alias amax avg_pool1d avg_pool2d
    ceil channel_shuffle clamp_max clamp_min clone cos div div_ elu exp expand_as fill_ gelu gelu_
    hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh hardtanh_ index_select leaky_relu lerp
    lift_fresh linalg_vector_norm log log2 log_softmax masked_fill_ max_pool2d maximum mean meshgrid min
    minimum mul mul_ neg norm ones_like pad pixel_shuffle pixel_unshuffle pow prelu reciprocal repeat
    repeat_interleave reshape_as rsqrt rsub sigmoid sigmoid_ sign silu silu_ sin softmax softplus sqrt sub
    sub_ sum tanh unflatten unfold view_as where
"""
_IGNORED = tuple("aten::" + name for name in _FREE.split())
"""Element-wise, pooling, reducing and moving operations: no multiply-accumulate of theirs is counted."""


class Complexity(Description):
    """Cost on paper, for one picture."""

    parameters: int
    gmacs: float
    """Giga multiply-accumulates (1 MAC is 1 flop of fvcore)."""
    activations: int
    """Elements put out by convolutions and matrix products (Dollár et al. 2021, arXiv 2103.06877)."""


@contextmanager
def _one_by_one() -> Iterator[None]:
    """Keep PyTorch from merging a whole attention into one operator of its own, whose products nobody can count."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def complexity(module: nn.Module, resolution: int) -> Complexity:
    """Count a network on one picture of `resolution` by `resolution`.

    Raises:
        EradioError: the network uses an operation that is neither counted nor known to cost nothing.
    """
    pictures = torch.zeros(1, 3, resolution, resolution)
    analysis = FlopCountAnalysis(Flat(module).eval(), pictures)
    handles = {**analysis._op_handles, **_HANDLES}
    analysis.set_op_handle(**{name: _both(handle, name in _PUT_OUT) for name, handle in handles.items()})
    analysis.set_op_handle(**dict.fromkeys(_IGNORED))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    with torch.inference_mode(), _one_by_one():
        counts, unknown = analysis.by_operator(), analysis.unsupported_ops()
    if unknown:
        raise EradioError(
            f"Cannot count this network's multiply-accumulates: {', '.join(sorted(unknown))} is unknown. "
            "Add a handle for it to eradio/profile/complexity.py, or use an operation that has one."
        )
    return Complexity(
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        gmacs=counts["macs"] / 1e9,
        activations=int(counts["activations"]),
    )


def _both(handle: Handle, puts_out: bool) -> Handle:
    """Count multiply-accumulates and activations in one pass, as tracing is the slow part."""

    def count(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        macs = handle(inputs, outputs)
        macs = sum(macs.values()) if isinstance(macs, Counter) else macs
        return Counter(macs=macs, activations=math.prod(get_shape(outputs[0])) if puts_out else 0)

    return count


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Query times key and weights times value: q [..., n, c], k [..., m, c], v [..., m, d]."""
    query, key, value = (get_shape(value) for value in inputs[:3])
    return int(math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _baddbmm(inputs: list[Any], outputs: list[Any]) -> int:
    """[b, n, c] times [b, c, m]."""
    return int(math.prod(get_shape(inputs[1])) * get_shape(inputs[2])[-1])


def _per_output(cost: int) -> Handle:
    return lambda inputs, outputs: cost * math.prod(get_shape(outputs[0]))


_HANDLES: dict[str, Handle] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::baddbmm": _baddbmm,
    "aten::upsample_bicubic2d": _per_output(16),
    "aten::_upsample_bilinear2d_aa": _per_output(4),
    "aten::_upsample_bicubic2d_aa": _per_output(16),
}
_PRODUCTS = "_convolution addmm baddbmm bmm einsum linear matmul mm scaled_dot_product_attention"
_PUT_OUT = frozenset("aten::" + name for name in _PRODUCTS.split())
"""The operations whose outputs are activations."""
