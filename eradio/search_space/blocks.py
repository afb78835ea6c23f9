"""Convolutional blocks: conv + norm, C2f, residual, ConvNeXt-like, fused MBConv; the stems and down-samplings."""

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from eradio.search_space.architecture import ConvStage, Stem


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


def make_stem(stem: Stem, channels: int, width: int) -> nn.Sequential:
    """Pictures [B, channels, H, W] to [B, width, H/4, W/4]."""
    if stem.width is None:
        return nn.Sequential(nn.PixelUnshuffle(4), conv_norm(16 * channels, width, 3, activation=nn.ReLU))
    return nn.Sequential(
        conv_norm(channels, stem.width, 3, stride=2, activation=nn.ReLU),
        conv_norm(stem.width, width, 3, stride=2, activation=nn.ReLU),
    )


def down_sampling(kind: str | None, inputs: int, outputs: int) -> nn.Sequential:
    """[B, inputs, H, W] to [B, outputs, H/2, W/2]: a strided convolution, or blocks of 2x2 into channels."""
    if kind == "unshuffle":
        return nn.Sequential(nn.PixelUnshuffle(2), conv_norm(4 * inputs, outputs, 1))
    return conv_norm(inputs, outputs, 3, stride=2)


class Bottleneck(nn.Module):
    """Two 3x3 convolutions with a residual, the repeated part of C2f."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_norm(width, width, 3, activation=nn.SiLU)
        self.second = conv_norm(width, width, 3, activation=nn.SiLU)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.drop_path(self.second(self.first(x)))
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
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.drop_path(self.second(self.first(x)))
        return x + y


class DepthwiseBlock(nn.Module):
    """Depth-wise convolution, then a 1x1 expansion and back, with a residual.

    The block of ConvNeXt (arXiv 2201.03545) with a batch norm in place of its layer norm, which folds away.
    """

    def __init__(self, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = conv_norm(width, width, kernel, groups=width)
        self.expand = nn.Conv2d(width, expansion * width, 1)
        self.project = nn.Conv2d(expansion * width, width, 1)
        self.activation = nn.GELU()
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.drop_path(self.project(self.activation(self.expand(self.depthwise(x)))))
        return x + y


class FusedMBConv(nn.Module):
    """A 3x3 convolution that expands, and a 1x1 back, with a residual (EfficientNetV2, arXiv 2104.00298)."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.expand = conv_norm(width, expansion * width, 3, activation=nn.SiLU)
        self.project = conv_norm(expansion * width, width, 1)
        self.drop_path = DropPath()

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        y: Tensor = self.drop_path(self.project(self.expand(x)))
        return x + y


def conv_stage(stage: ConvStage) -> nn.Module:
    """The body of a convolutional stage: [B, width, H, W] to the same shape."""
    if stage.kind == "c2f":
        return C2f(stage.width, stage.depth)
    return nn.Sequential(*(_block(stage) for _ in range(stage.depth)))


def _block(stage: ConvStage) -> nn.Module:
    if stage.kind == "residual":
        return Residual(stage.width)
    if stage.kind == "convnext":
        return DepthwiseBlock(stage.width, stage.kernel or 7, stage.expansion or 4)
    return FusedMBConv(stage.width, stage.expansion or 4)
