"""DINOv2's objective in small: self-distillation between views, of the picture and of hidden patches."""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize

from eradio.distill.teachers.dino import timm_model
from eradio.pretrain.crops import patch_masks, view
from eradio.pretrain.data import SIDE, Stream, draws
from eradio.pretrain.objective import Objective

BATCH = 64
_LOCALS = 2
_LOCAL_SIDE = 32
_GLOBAL_AREAS, _LOCAL_AREAS = (0.6, 1.0), (0.4, 0.8)
_HIDDEN = (0.1, 0.5)
_TEMPERATURE, _TARGET_TEMPERATURE = 0.1, 0.012
_MOMENTUM = 0.98
_PATCH_WEIGHT, _SPREAD_WEIGHT = 0.5, 0.1


class Head(nn.Module):
    """Features to scores of prototypes: an MLP, a bottleneck of length one, unit prototypes (DINO, section 3.1).

    The batch norms (DINO's option for its head) spread the features of a fresh network, which hardly differ from
    picture to picture; without them all assignments start, and stay, uniform.
    """

    def __init__(self, width: int, prototypes: int, hidden: int = 256, bottleneck: int = 64) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden, track_running_stats=False),
            nn.GELU(),
            nn.Linear(hidden, bottleneck, bias=False),
            nn.BatchNorm1d(bottleneck, affine=False, track_running_stats=False),
        )
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, features: Tensor) -> Tensor:
        """[N, width] to [N, prototypes] cosines."""
        return normalize(self.mlp(features), dim=-1) @ normalize(self.prototypes, dim=-1).T


class Network(nn.Module):
    """A vision transformer with a token for hidden patches and the two heads."""

    vit: Any

    def __init__(self, config: dict[str, Any], prototypes: int) -> None:
        super().__init__()
        options = {**config["options"], "dynamic_img_size": True}
        self.vit = timm_model({**config, "options": options})
        width: int = self.vit.num_features
        self.hidden = nn.Parameter(torch.zeros(width))
        self.of_picture, self.of_patch = Head(width, prototypes), Head(width, prototypes)

    def tokens(self, pictures: Tensor, masks: Tensor | None = None) -> Tensor:
        """[B, 1 + patches, width] after the final norm; patches under [B, h, w] masks are hidden."""
        patches = self.vit.patch_embed(pictures)
        if masks is not None:
            patches = torch.where(masks[..., None], self.hidden, patches)
        answer: Tensor = self.vit.norm(self.vit.blocks(self.vit.norm_pre(self.vit._pos_embed(patches))))
        return answer


class DinoObjective(Objective):
    """Cross-entropy between a network's and its moving average's assignments to prototypes.

    Of the picture (DINO, arXiv 2104.14294) between crops: each of the student's masked global and two local views
    against the average's global view before another background (BG-Swaps, Ryali et al., 2021, arXiv 2103.12719):
    crops of a single rendering share their texture, and in a world where backgrounds say nothing about objects a
    network that matches textures learns nothing else. The renderer knows where the objects are; no name, caption
    or mask is used.

    Of hidden patches (iBOT, arXiv 2111.07832) within the first global view. Targets are balanced by
    Sinkhorn-Knopp, and KoLeo spreads the batch, as in DINOv2 (arXiv 2304.07193, section 4).
    """

    kind = "dino"
    rate = 1.5e-3
    words = (
        "self-distillation between crops before swapped backgrounds (DINO) and of hidden patches (iBOT), "
        "with Sinkhorn-Knopp targets and KoLeo; no names, captions or masks"
    )

    def __init__(self, seed: int, batch: int = BATCH, width: int = 128, depth: int = 4, prototypes: int = 512) -> None:
        super().__init__()
        self._seed = seed
        self.batch = batch
        self._stream = Stream(seed, batch, ("single-train",))
        self.data_words, self.data_digest = self._stream.words, self._stream.digest
        options = {
            "img_size": SIDE,
            "patch_size": 8,
            "embed_dim": width,
            "depth": depth,
            "num_heads": width // 32,
            "mlp_ratio": 3,
            "init_values": 1.0,
        }
        self._config = {"model": "vit_small_patch14_dinov2", "options": options}
        self.student = Network(self._config, prototypes)
        self.average = deepcopy(self.student).requires_grad_(False)
        normal = self.student.vit.pretrained_cfg
        self.register_buffer("_mean", torch.tensor(normal["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(normal["std"]).view(1, 3, 1, 1), persistent=False)

    def loss(self, step: int) -> Tensor:
        """The mean over pairs of views of the picture's part, plus the hidden patches' part."""
        random = draws(self._seed, step)
        twins = torch.cat([self._stream.pictures(step), self._stream.swapped(step)])
        count = len(twins) // 2
        wide = self._views(twins, SIDE, _GLOBAL_AREAS, random)
        near = self._views(twins.repeat(_LOCALS // 2, 1, 1, 1), _LOCAL_SIDE, _LOCAL_AREAS, random)
        masks = patch_masks(count, SIDE // 8, _HIDDEN, random)
        with torch.no_grad():
            tokens = self.average.tokens(wide)
            targets = balanced(self.average.of_picture(tokens[:, 0])).view(2, count, -1)
            patch_targets = balanced(self.average.of_patch(tokens[:count, 1:][masks.flatten(1)]))
        masked = self.student.tokens(wide[:count], masks)
        local = self.student.tokens(near)[:, 0]
        log = _log(self.student.of_picture(torch.cat([masked[:, 0], local]))).view(1 + _LOCALS, count, -1)
        pairs = -torch.einsum("lbk,tbk->lt", log, targets) / count
        # Locals alternate between the backgrounds of the first and of the second global view.
        of_picture = (pairs[0, 1] + pairs[1::2, 1].sum() + pairs[2::2, 0].sum()) / (1 + _LOCALS)
        of_patches = -(patch_targets * _log(self.student.of_patch(masked[:, 1:][masks.flatten(1)]))).sum(1).mean()
        return of_picture + _PATCH_WEIGHT * of_patches + _SPREAD_WEIGHT * crowding(masked[:, 0])

    @torch.no_grad()
    def after(self, step: int, steps: int) -> None:
        """Move the average: momentum from 0.98 to 1 along a cosine."""
        momentum = 1 - (1 - _MOMENTUM) * (1 + math.cos(math.pi * step / steps)) / 2
        for kept, new in zip(self.average.parameters(), self.student.parameters(), strict=True):
            kept.lerp_(new, 1 - momentum)

    def result(self) -> tuple[Mapping[str, Any], nn.Module]:
        """The timm configuration and the averaged model."""
        return self._config, self.average.vit

    def _views(self, pictures: Tensor, side: int, areas: tuple[float, float], random: torch.Generator) -> Tensor:
        views = view(pictures, side, areas, random)
        return (views - self.get_buffer("_mean")) / self.get_buffer("_std")


def balanced(scores: Tensor, rounds: int = 3) -> Tensor:
    """Soft assignments in which every prototype gets the same share (Sinkhorn-Knopp; SwAV, arXiv 2006.09882).

    Args:
        scores: [N, K] cosines.
        rounds: of normalising columns, then rows.

    Returns:
        [N, K] with rows that sum to 1.
    """
    logs = scores / _TARGET_TEMPERATURE
    for _ in range(rounds):
        logs = log_softmax(logs, dim=0)
        logs = log_softmax(logs, dim=1)
    return logs.exp()


def crowding(features: Tensor) -> Tensor:
    """KoLeo: minus the mean log distance of [B, C] features, at length one, to their nearest in the batch."""
    unit = normalize(features, dim=1)
    nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(1)
    distances: Tensor = torch.linalg.vector_norm(unit - unit[nearest], dim=1)
    return -distances.clamp(min=1e-6).log().mean()


def _log(scores: Tensor) -> Tensor:
    return log_softmax(scores / _TEMPERATURE, dim=-1)
