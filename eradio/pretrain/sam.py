"""SAM's objective: boxes and points to masks."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, mse_loss

from eradio.distill.teachers.sam import SamConfig, decode, small_sam
from eradio.evaluation.masks import boxes_of
from eradio.pretrain.data import SIDE, Stream, as_tensor, draws
from eradio.pretrain.objective import Objective
from eradio.scenes import Scene

BATCH = 64
_PROMPTS = 2
_LEAST_PIXELS = 12
_JITTER = 0.1
_FOCAL_WEIGHT = 20.0


class SamObjective(Objective):
    """Focal and dice loss in the ratio 20 to 1 on masks from prompts (arXiv 2304.02643, appendix A).

    Half the prompts are jittered boxes, half single points inside the object. The first mask answers alone; of
    the other three only the best is taught, as for ambiguous prompts. The predicted IoU learns the real one.
    """

    kind = "sam"
    words = "masks from jittered boxes and single points: focal and dice loss 20 to 1, and the predicted IoU"

    def __init__(self, seed: int, batch: int = BATCH, config: SamConfig | None = None) -> None:
        super().__init__()
        self._seed = seed
        self.batch = batch
        self._stream = Stream(seed, batch)
        self.data_words, self.data_digest = self._stream.words, self._stream.digest
        self._config = config or SamConfig()
        self.sam = small_sam(self._config)

    def loss(self, step: int) -> Tensor:
        """The mean over prompts."""
        random = draws(self._seed, step)
        scenes = self._stream.scenes(step)
        owners, truth = choose(scenes, random)
        pictures = as_tensor([scene.picture for scene in scenes])
        maps = self.sam.image_encoder((255 * pictures - self.sam.pixel_mean) / self.sam.pixel_std)
        boxed = torch.rand(len(truth), generator=random) < 0.5
        order = torch.cat([boxed.nonzero()[:, 0], (~boxed).nonzero()[:, 0]])
        sparse, dense = zip(
            self.sam.prompt_encoder(points=None, boxes=_boxes(truth[boxed], random), masks=None),
            self.sam.prompt_encoder(points=_points(truth[~boxed], random), boxes=None, masks=None),
            strict=True,
        )
        logits, quality = decode(self.sam, maps[owners[order]], torch.cat(sparse), torch.cat(dense))
        logits = interpolate(logits, truth.shape[-2:], mode="bilinear")
        each, overlap = mask_losses(logits, truth[order].float())
        return each[:, 0].mean() + each[:, 1:].amin(1).mean() + mse_loss(quality, overlap)

    def result(self) -> tuple[Mapping[str, Any], nn.Module]:
        """The sizes and the model."""
        return self._config.model_dump(mode="json"), self.sam


def choose(scenes: list[Scene], random: Generator) -> tuple[Tensor, Tensor]:
    """Up to two objects a picture that show at least a dozen pixels.

    Returns:
        [P] the picture of each, and [P, H, W] bool masks.
    """
    owners, masks = [], []
    for owner, scene in enumerate(scenes):
        seen = torch.from_numpy(scene.masks)
        seen = seen[seen.sum((1, 2)) >= _LEAST_PIXELS]
        for place in torch.randperm(len(seen), generator=random)[:_PROMPTS].tolist():
            owners.append(owner)
            masks.append(seen[place])
    return torch.tensor(owners), torch.stack(masks)


def mask_losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and IoU of [P, M, H, W] logits against [P, H, W] masks of 0 and 1.

    Returns:
        [P, M] 20 times the focal loss (gamma 2, Lin et al., 2017) plus the dice loss, and [P, M] IoU.
    """
    target = truth[:, None].expand_as(logits)
    chance = logits.sigmoid()
    wrong = torch.where(target > 0, 1 - chance, chance)
    focal = (wrong.square() * binary_cross_entropy_with_logits(logits, target, reduction="none")).mean((2, 3))
    dice = 1 - (2 * (chance * target).sum((2, 3)) + 1) / ((chance + target).sum((2, 3)) + 1)
    inside, real = logits.detach() > 0, target > 0
    overlap = (inside & real).sum((2, 3)) / (inside | real).sum((2, 3)).clamp(min=1)
    return _FOCAL_WEIGHT * focal + dice, overlap


def _boxes(masks: Tensor, random: Generator) -> Tensor:
    """[P, 4] boxes in pixels around the masks, each edge moved by a normal tenth of the side."""
    boxes = boxes_of(masks) * SIDE
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    moved = boxes + _JITTER * sides * torch.randn(boxes.shape, generator=random).clamp(-2, 2)
    return moved.clamp(0, SIDE) - 0.5


def _points(masks: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """[P, 1, 2] a random pixel (across, down) inside each mask, and [P, 1] its label 1, inside."""
    places = torch.multinomial(masks.flatten(1).float(), 1, generator=random)[:, 0]
    width = masks.shape[-1]
    return torch.stack([places % width, places // width], 1)[:, None].float(), torch.ones(len(masks), 1)
