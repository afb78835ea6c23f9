"""Our second generation computes what the official one computes, given the same weights.

The numbers below were printed once by the official smallest variant, filled with a formula for weights.
"""

import math

import numpy as np
import torch
from torch import nn

from eradio.search_space import Architecture, build

SMALLEST = {
    "stem": {"width": 32},
    "stages": [
        {"kind": "c2f", "width": 32, "depth": 1},
        {"kind": "c2f", "width": 64, "depth": 3},
        {"kind": "attention", "width": 128, "depth": 4, "heads": 8, "pattern": [2, 1], "window": 16},
        {"kind": "attention", "width": 256, "depth": 5, "heads": 16, "pattern": [1], "window": 16},
    ],
    "neck": {"start": 2, "width": 256},
}


def noise(count, number):
    """Reproducible values of mean 0 and deviation 1: a hash of the place and of the tensor's number."""
    mask, shift = np.uint64(2**32 - 1), np.uint64(16)
    values = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(2654435761) + np.uint64(number * 40503)) & mask
    for _ in range(3):
        values ^= values >> shift
        values = (values * np.uint64(2246822519)) & mask
    values ^= values >> shift
    return torch.from_numpy((values / 2**32 - 0.5) * math.sqrt(12))


def fill(module):
    state = {name: value for name, value in module.state_dict().items() if "num_batches" not in name}
    for number, (name, value) in enumerate(state.items(), 1):
        filled = noise(value.numel(), number).view(value.shape)
        if name.endswith("running_var"):
            filled = 1 + 0.2 * filled
        elif value.ndim >= 2:
            filled = filled / math.sqrt(value[0].numel())
        elif name.endswith("weight"):
            filled = 1 + 0.1 * filled
        else:
            filled = 0.05 * filled
        value.copy_(filled)


def test_the_map_is_the_official_one():
    module = build(Architecture.parse(SMALLEST, "here")).eval()
    assert sum(parameter.numel() for parameter in module.parameters()) == 10_255_008
    module.normalise = nn.Identity()
    rows, columns = torch.arange(1, 225.0)[:, None], torch.arange(1, 225.0)[None]
    picture = torch.stack([torch.sin(0.11 * rows + 0.5 * c) + torch.cos(0.07 * columns) for c in range(3)])
    with torch.no_grad():
        fill(module)
        spatial = module(picture[None]).spatial
    assert spatial.shape == (1, 256, 14, 14)
    seen = spatial.flatten()[[0, 7168, 16725, 25088, 50175]]
    expected = torch.tensor([0.16816, -0.03301, 2.57562, 1.28374, 2.65798])
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(spatial.std(), torch.tensor(1.974117), rtol=1e-5, atol=0)
