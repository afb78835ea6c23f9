import torch

from eradio.distill.teachers.sam import SamConfig, decode, small_sam


def test_decoding_many_pictures_at_once_equals_sam_s_own_decoder():
    torch.manual_seed(0)
    sam = small_sam(SamConfig(width=32, depth=1, heads=1, global_blocks=(0,), prompt_width=32)).eval()
    maps = torch.randn(3, 32, 8, 8)
    boxes = torch.rand(3, 4) * 64
    with torch.no_grad():
        sparse, dense = sam.prompt_encoder(points=None, boxes=boxes, masks=None)
        logits, quality = decode(sam, maps, sparse, dense)
        for place in range(3):
            own_logits, own_quality = sam.mask_decoder.predict_masks(
                image_embeddings=maps[place : place + 1],
                image_pe=sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse[place : place + 1],
                dense_prompt_embeddings=dense[place : place + 1],
            )
            assert torch.allclose(logits[place], own_logits[0], atol=1e-5)
            assert torch.allclose(quality[place], own_quality[0], atol=1e-5)


def test_what_enters_the_neck_leaves_it_as_the_usual_answer(folders):
    from eradio.distill.teachers import TeacherSpec, load_teacher

    spec = TeacherSpec(kind="sam", name="tiny", weights=str(folders["sam"]))
    after, before = load_teacher(spec), load_teacher(spec.model_copy(update={"before_neck": True}))
    pictures, box = torch.rand(2, 3, 64, 64), torch.tensor([[0.1, 0.2, 0.6, 0.7]])
    entering, leaving = before(pictures).spatial, after(pictures).spatial
    assert entering.shape[1] == before.spatial_width == before.sam.image_encoder.patch_embed.proj.out_channels
    with torch.no_grad():
        assert torch.allclose(before.sam.image_encoder.neck(entering), leaving, atol=1e-5)
    owner = torch.tensor([1])
    ours, theirs = (one.masks_of_boxes(maps, box, owner, 32) for one, maps in ((before, entering), (after, leaving)))
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert before.digest != after.digest


def test_boxes_reach_the_decoder_as_sam_s_own_forward_takes_them(folders):
    from eradio.distill.teachers import TeacherSpec, load_teacher

    teacher = load_teacher(TeacherSpec(kind="sam", name="tiny", weights=str(folders["sam"])))
    pictures = torch.rand(1, 3, 64, 64)
    box = torch.tensor([[8.0, 16.0, 40.0, 48.0]])
    with torch.no_grad():
        own = teacher.sam(
            [{"image": pictures[0] * 255, "original_size": (64, 64), "boxes": box - 0.5}], multimask_output=False
        )[0]
    ours = teacher.masks_of_boxes(teacher(pictures).spatial, box / 64, torch.tensor([0]), 64)
    assert torch.equal(ours > 0, own["masks"][:, 0])
