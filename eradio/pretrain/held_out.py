"""How good a small teacher is on pictures that training never shows."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pixel_unshuffle

from eradio.distill.teachers import ClipTeacher, SamTeacher, Teacher
from eradio.evaluation import box_masks, filled_boxes, grouped, knn, segmentation, zero_shot
from eradio.evaluation.knn import histograms
from eradio.evaluation.segmentation import GROUPS
from eradio.features import Features
from eradio.interval import Interval
from eradio.pretrain.data import SIDE, as_tensor
from eradio.scenes import KINDS, Scenes

_CHUNK = 64
_SEED = 1
_LEAST_PIXELS = 12


class Singles(NamedTuple):
    """Pictures of single objects: [N, 3, H, W], kinds [N], semantic labels [N, H, W]."""

    pictures: Tensor
    labels: Tensor
    semantic: Tensor


def singles(split: str, count: int) -> Singles:
    """The first pictures of `single` or `single-train`."""
    source = Scenes(split, size=SIDE, seed=_SEED)
    scenes = [source.scene(index) for index in range(count)]
    return Singles(
        as_tensor([scene.picture for scene in scenes]),
        torch.tensor([scene.kinds[0] for scene in scenes]),
        torch.stack([torch.from_numpy(scene.semantic) for scene in scenes]),
    )


def features(teacher: Teacher, pictures: Tensor) -> Features:
    """Features of many pictures, a few dozen at a time."""
    parts = [teacher(part) for part in torch.split(pictures, _CHUNK)]
    summaries = [part.summary for part in parts if part.summary is not None]
    return Features(torch.cat(summaries) if summaries else None, torch.cat([part.spatial for part in parts]))


def scores(teacher: Teacher, untrained: Teacher, queries: int, gallery: int) -> dict[str, Interval]:
    """Held-out metrics of a teacher beside the same network untrained and beside simple baselines.

    Args:
        teacher: to be judged.
        untrained: the same with fresh weights.
        queries: pictures of `single` (or `test`, for masks) to be judged on.
        gallery: pictures of `single-train` known to k-NN and to the probe.
    """
    if isinstance(teacher, SamTeacher):
        return _mask_scores(teacher, queries)
    known, asked = singles("single-train", gallery), singles("single", queries)
    answer: dict[str, Interval] = {}
    if isinstance(teacher, ClipTeacher):
        classes = teacher.class_embeddings([kind.caption for kind in KINDS])
        answer["zero-shot top-1"] = zero_shot(_summary(teacher, asked.pictures), classes, asked.labels)
    truth = grouped(known.semantic, len(KINDS)), grouped(asked.semantic, len(KINDS))
    for words, network in (("", teacher), (", untrained", untrained)):
        seen, new = features(network, known.pictures), features(network, asked.pictures)
        assert seen.summary is not None
        assert new.summary is not None
        answer[f"k-NN top-1{words}"] = knn(seen.summary, known.labels, new.summary, asked.labels)
        answer[f"segmentation mIoU{words}"] = segmentation(seen.spatial, truth[0], new.spatial, truth[1], GROUPS + 1)
    for words, change in (("raw pixels", _pixels), ("colour histogram", histograms)):
        given = change(known.pictures), known.labels, change(asked.pictures), asked.labels
        answer[f"k-NN top-1, {words}"] = knn(*given)
    patches = (pixel_unshuffle(part, SIDE // 8) for part in (known.pictures, asked.pictures))
    answer["segmentation mIoU, raw pixels"] = segmentation(next(patches), truth[0], next(patches), truth[1], GROUPS + 1)
    return answer


def _summary(teacher: Teacher, pictures: Tensor) -> Tensor:
    summary = features(teacher, pictures).summary
    assert summary is not None
    return summary


def _pixels(pictures: Tensor) -> Tensor:
    small = adaptive_avg_pool2d(pictures, 32).flatten(1)
    return small - small.mean(1, keepdim=True)


def _mask_scores(teacher: SamTeacher, count: int) -> dict[str, Interval]:
    answer: dict[str, Interval] = {}
    for split in ("test", "single"):
        source = Scenes(split, size=SIDE, seed=_SEED)
        scenes = [source.scene(index) for index in range(count)]
        seen = [torch.from_numpy(scene.masks) for scene in scenes]
        kept = [masks[masks.sum((1, 2)) >= _LEAST_PIXELS] for masks in seen]
        masks = torch.cat(kept)
        owners = torch.repeat_interleave(torch.arange(count), torch.tensor([len(part) for part in kept]))
        maps = features(teacher, as_tensor([scene.picture for scene in scenes])).spatial
        answer[f"box-prompt IoU, {split}"] = box_masks(maps, masks, owners, teacher.masks_of_boxes)
        answer[f"box-prompt IoU, {split}, box filled"] = filled_boxes(masks, owners)
    return answer
