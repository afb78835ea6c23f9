"""CLIP's objective: pictures find their captions among a batch's, and captions their pictures."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from eradio.distill.teachers.clip import open_clip_model, open_clip_tokenizer
from eradio.distill.teachers.files import MERGES
from eradio.pretrain.data import SIDE, Stream
from eradio.pretrain.merges import caption_words, learn, vocabulary_size, write_merges
from eradio.pretrain.objective import Objective

BATCH = 128
_LARGEST_SCALE = 100.0
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class ClipObjective(Objective):
    """Contrastive learning (arXiv 2103.00020, section 2.3).

    Half the pictures show a single object of 155 kinds, so a batch repeats captions; pictures with the same
    caption share the target equally (UniCL, Yang et al., 2022, arXiv 2204.03610, equation 2).
    """

    kind = "clip"
    words = "contrastive learning of pictures and captions; equal captions of a batch share their target"
    rate = 1.5e-3
    decay = 0.1

    clip: Any

    def __init__(self, seed: int, batch: int = BATCH, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.batch = batch
        self._stream = Stream(seed, batch)
        self.data_words, self.data_digest = self._stream.words, self._stream.digest
        self._merges = learn(caption_words())
        self._config: dict[str, Any] = {
            "model_cfg": {
                "embed_dim": width,
                "vision_cfg": {
                    "image_size": SIDE,
                    "patch_size": 8,
                    "width": width,
                    "head_width": 32,
                    "layers": depth,
                    "mlp_ratio": 3.0,
                    "pool_type": "avg",
                },
                "text_cfg": {
                    "context_length": 32,
                    "vocab_size": vocabulary_size(self._merges),
                    "width": width,
                    "heads": width // 32,
                    "layers": 2,
                },
            },
            "preprocess_cfg": {"mean": list(_MEAN), "std": list(_STD), "size": [SIDE, SIDE]},
        }
        with TemporaryDirectory() as folder:
            self.prepare(Path(folder))
            self._tokenizer = open_clip_tokenizer(Path(folder), self._config)
        self.clip = open_clip_model(self._config)
        self.register_buffer("_mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    def prepare(self, folder: Path) -> None:
        """Write the tokenizer's merges."""
        write_merges(folder / MERGES, self._merges)

    def loss(self, step: int) -> Tensor:
        """Cross-entropy both ways between [pictures, distinct captions] similarities and their matches."""
        pictures, captions = self._stream.captioned(step)
        distinct = sorted(set(captions))
        matches = torch.tensor([distinct.index(caption) for caption in captions])
        pictures = (pictures - self.get_buffer("_mean")) / self.get_buffer("_std")
        seen = normalize(self.clip.encode_image(pictures), dim=-1)
        read = normalize(self.clip.encode_text(self._tokenizer(distinct)), dim=-1)
        logits = self.clip.logit_scale.exp() * seen @ read.T
        return (to_captions(logits, matches) + to_pictures(logits, matches)) / 2

    @torch.no_grad()
    def after(self, step: int, steps: int) -> None:
        """Keep the temperature above a hundredth, as CLIP does."""
        self.clip.logit_scale.clamp_(0, torch.tensor(_LARGEST_SCALE).log())

    def result(self) -> tuple[Mapping[str, Any], nn.Module]:
        """The open_clip configuration and model."""
        return self._config, self.clip


def to_captions(logits: Tensor, matches: Tensor) -> Tensor:
    """Each picture among all captions.

    Where n pictures of the batch share a caption, an ordinary contrastive softmax would hold n copies of it; the
    copies are one column here, raised by log n, so that the loss is UniCL's up to a constant.

    Args:
        logits: [pictures, captions] scaled similarities.
        matches: [pictures] each picture's caption.
    """
    copies = torch.bincount(matches, minlength=logits.shape[1]).float()
    return nn.functional.cross_entropy(logits + copies.log(), matches)


def to_pictures(logits: Tensor, matches: Tensor) -> Tensor:
    """Each caption among all pictures, its own sharing the target equally; copies of a caption count each."""
    return -nn.functional.log_softmax(logits, dim=0)[torch.arange(len(matches)), matches].mean()
