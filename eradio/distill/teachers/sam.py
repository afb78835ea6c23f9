"""SAM (Kirillov et al., 2023, arXiv 2304.02643) as segment_anything builds it."""

from functools import partial

import torch
from pydantic import Field
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn
from torch.nn.functional import interpolate

from eradio.description import Description, canonical_json
from eradio.distill.teachers.base import UNKNOWN_LICENCE, Teacher
from eradio.distill.teachers.files import identity, read_config, read_weights, weights_file
from eradio.distill.teachers.hub import weights_path
from eradio.distill.teachers.licence import licence_of
from eradio.distill.teachers.spec import TeacherSpec
from eradio.features import Features


class SamConfig(Description):
    """The sizes of a small SAM; the published three have fixed ones."""

    side: int = Field(default=64, ge=16)
    patch: int = 8
    width: int = 96
    depth: int = 4
    heads: int = 3
    window: int = 4
    global_blocks: tuple[int, ...] = (1, 3)
    prompt_width: int = 96
    decoder_depth: int = 2
    decoder_heads: int = 4
    decoder_hidden: int = 192
    mask_channels: int = 8


class SamTeacher(Teacher):
    """A segment_anything model.

    Summary: none. Spatial: the image encoder's embedding after its neck, which the mask decoder reads; or before it.
    """

    def __init__(
        self, sam: Sam, name: str, digest: str, licence: str = UNKNOWN_LICENCE, *, before_neck: bool = False
    ) -> None:
        super().__init__(
            name=name,
            digest=digest,
            resolution=sam.image_encoder.img_size,
            patch=sam.image_encoder.patch_embed.proj.kernel_size[0],
            widths=(None, sam.image_encoder.neck[0].in_channels if before_neck else sam.prompt_encoder.embed_dim),
            mean=(sam.pixel_mean.flatten() / 255).tolist(),
            std=(sam.pixel_std.flatten() / 255).tolist(),
            licence=licence,
        )
        self.sam = sam
        self.before_neck = before_neck
        self.freeze()

    def _features(self, pictures: Tensor) -> Features:
        encoder = self.sam.image_encoder
        if not self.before_neck:
            return Features(None, encoder(pictures))
        places = encoder.patch_embed(pictures)
        if encoder.pos_embed is not None:
            places = places + encoder.pos_embed
        for block in encoder.blocks:
            places = block(places)
        return Features(None, places.permute(0, 3, 1, 2))

    def _tower(self) -> nn.Module:
        """Neither the prompt encoder nor the decoder."""
        encoder: nn.Module = self.sam.image_encoder
        return encoder

    @torch.no_grad()
    def masks_of_boxes(self, maps: Tensor, boxes: Tensor, owners: Tensor, side: int) -> Tensor:
        """Mask logits of boxes, read from any embedding: this teacher's, or a student's in its place.

        Args:
            maps: [B, spatial_width, h, w] embeddings; another grid than the decoder's is resampled.
            boxes: [P, 4] left, top, right and bottom in sides of the picture, 0 to 1.
            owners: [P] the row of `maps` to which each box belongs.
            side: of the masks in pixels.

        Returns:
            [P, side, side] logits; above 0 is inside.
        """
        grid = self.sam.prompt_encoder.image_embedding_size
        if self.before_neck:
            maps = self.sam.image_encoder.neck(maps)
        if maps.shape[-2:] != grid:
            maps = interpolate(maps, grid, mode="bilinear")
        corners = boxes * self.resolution - 0.5
        sparse, dense = self.sam.prompt_encoder(points=None, boxes=corners, masks=None)
        logits, _ = decode(self.sam, maps[owners], sparse, dense)
        return interpolate(logits[:, :1], (side, side), mode="bilinear")[:, 0]


def decode(sam: Sam, maps: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """The mask decoder on prompts of many pictures at once; its own method takes one picture a call.

    Args:
        sam: the model whose decoder and position encoding are used.
        maps: [P, C, h, w] the embedding of each prompt's picture.
        sparse, dense: [P, n, C] and [P, C, h, w] the prompt encoder's answer.

    Returns:
        [P, masks, 4h, 4w] logits, the first for unambiguous prompts, and [P, masks] predicted IoU.
    """
    decoder = sam.mask_decoder
    count = decoder.num_mask_tokens
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([own.expand(len(maps), -1, -1), sparse], dim=1)
    places = sam.prompt_encoder.get_dense_pe().expand(len(maps), -1, -1, -1)
    answers, read = decoder.transformer(maps + dense, places, tokens)
    finer = decoder.output_upscaling(read.transpose(1, 2).reshape(maps.shape))
    heads = enumerate(decoder.output_hypernetworks_mlps)
    weights = torch.stack([head(answers[:, 1 + place]) for place, head in heads], dim=1)
    logits = torch.einsum("pmc,pchw->pmhw", weights, finer)
    return logits[:, :count], decoder.iou_prediction_head(answers[:, 0])


def small_sam(config: SamConfig) -> Sam:
    """A Sam of these sizes with fresh weights."""
    grid = config.side // config.patch
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=config.side,
            patch_size=config.patch,
            embed_dim=config.width,
            depth=config.depth,
            num_heads=config.heads,
            out_chans=config.prompt_width,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config.window,
            global_attn_indexes=config.global_blocks,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=config.prompt_width,
            image_embedding_size=(grid, grid),
            input_image_size=(config.side, config.side),
            mask_in_chans=config.mask_channels,
        ),
        mask_decoder=MaskDecoder(
            transformer_dim=config.prompt_width,
            transformer=TwoWayTransformer(
                depth=config.decoder_depth,
                embedding_dim=config.prompt_width,
                num_heads=config.decoder_heads,
                mlp_dim=config.decoder_hidden,
            ),
            iou_head_hidden_dim=config.prompt_width,
        ),
    )


def load_sam(spec: TeacherSpec) -> SamTeacher:
    """Build the model and load its weights.

    Raises:
        EradioError: weights or configuration are missing, or do not fit each other.
    """
    path = weights_path(spec)
    weights = weights_file(path, spec.kind)
    if path.is_dir():
        config = SamConfig.parse(read_config(path, spec.kind), str(path))
        sam, text = small_sam(config), config.canonical()
    else:
        sam, text = sam_model_registry[spec.model](checkpoint=None), canonical_json(spec.model)
    sam.load_state_dict(read_weights(weights))
    digest = identity(weights, f"{text} before its neck" if spec.before_neck else text)
    return SamTeacher(sam, spec.name, digest, licence_of(spec, sam), before_neck=spec.before_neck)
