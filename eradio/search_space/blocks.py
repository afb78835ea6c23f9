"""Convolutional blocks: conv + norm, C2f, the plain residual block, the stem."""

import torch
from torch import Tensor, nn


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution without bias, norm, optional activation: [B, inputs, H, W] to [B, outputs, H', W']."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs)
    return nn.Sequential(conv, norm) if activation is None else nn.Sequential(conv, norm, activation())


def stem(between: int, width: int) -> nn.Sequential:
    """Pictures [B, 3, H, W] to [B, width, H/4, W/4]."""
    return nn.Sequential(
        conv_norm(3, between, 3, stride=2, activation=nn.ReLU),
        conv_norm(between, width, 3, stride=2, activation=nn.ReLU),
    )


class Bottleneck(nn.Module):
    """Two 3x3 convolutions with a residual, the repeated part of C2f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_norm(width, width, 3, activation=nn.SiLU)
        self.second = conv_norm(width, width, 3, activation=nn.SiLU)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.second(self.first(x))
        return x + y


class C2f(nn.Module):
    """The cross-stage block of YOLOv8: half the channels pass `depth` bottlenecks, every step is merged."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.split = conv_norm(width, width, 1, activation=nn.SiLU)
        self.merge = conv_norm(width * (2 + depth) // 2, width, 1, activation=nn.SiLU)
        self.bottlenecks = nn.ModuleList(Bottleneck(width // 2) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        pieces = list(self.split(x).chunk(2, dim=1))
        for bottleneck in self.bottlenecks:
            pieces.append(bottleneck(pieces[-1]))
        merged: Tensor = self.merge(torch.cat(pieces, dim=1))
        return merged


class Residual(nn.Module):
    """Two 3x3 convolutions at full width with a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_norm(width, width, 3, activation=nn.GELU)
        self.second = conv_norm(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.second(self.first(x))
        return x + y
