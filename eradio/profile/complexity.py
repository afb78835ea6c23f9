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
    _softmax abs adaptive_avg_pool1d adaptive_max_pool1d adaptive_max_pool2d add add_ addcdiv addcmul alias all
    alpha_dropout amax amin any argmax argmin argsort avg_pool1d avg_pool2d bernoulli bitwise_not broadcast_to
    bucketize ceil celu channel_shuffle clamp_ clamp_max clamp_min clip clone col2im constant_pad_nd copy_ cos
    cumprod cumsum deg2rad diag diff div div_ elu elu_ erf exp exp_ expand_as expm1 eye feature_dropout fill_ flip
    floor floor_divide fmod full full_like gather ge gelu gelu_ glu gt hardshrink hardsigmoid hardsigmoid_ hardswish
    hardswish_ hardtanh hardtanh_ im2col index_add index_fill index_put_ index_select isnan le leaky_relu
    leaky_relu_ lerp lift_fresh linalg_vector_norm log log10 log1p log2 log_sigmoid log_softmax logical_and
    logical_not logical_or logsumexp lt masked_fill masked_fill_ masked_select max max_pool1d max_pool2d maximum
    mean median meshgrid min minimum mish mish_ mul mul_ nan_to_num narrow ne neg new_full new_ones new_zeros norm
    one_hot ones ones_like pad pixel_shuffle pixel_unshuffle pow prelu prod rad2deg rand_like randn_like reciprocal
    reflection_pad1d reflection_pad2d relu6 relu6_ remainder repeat repeat_interleave replication_pad2d reshape_as
    rms_norm roll rot90 round rrelu rsqrt rsub scatter scatter_add select_scatter selu selu_ sigmoid sigmoid_ sign
    silu silu_ sin softmax softplus softshrink sort sqrt square squeeze_ stack std std_mean sub sub_ sum swapaxes
    take_along_dim tan tanh tanh_ tensor_split threshold tile topk trapz tril triu trunc unflatten unfold unsqueeze_
    var var_mean view_as where zero_ zeros_like
"""
_IGNORED = tuple("aten::" + name for name in _FREE.split())
"""Element-wise, pooling, reducing and moving operations: no multiply-accumulate of theirs is counted."""


class UncountedError(EradioError):
    """A network does something of which it is not known what it costs."""


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
        UncountedError: the network uses an operation that is neither counted nor known to cost nothing.
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
        raise UncountedError(
            f"Its multiply-accumulates are not counted: what {', '.join(sorted(unknown))} costs is not known here."
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
