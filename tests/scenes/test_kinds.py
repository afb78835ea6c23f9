import numpy as np

from eradio.scenes import KINDS
from eradio.scenes.kinds import ATLAS, SIDE, sprites, tiles


def test_captions_are_distinct_and_start_with_the_right_article():
    captions = [kind.caption for kind in KINDS]
    assert 100 <= len(set(captions)) == len(captions) <= 200
    # A word such as "unicorn" is spelt with a vowel and spoken without one.
    spoken_as_consonant = ("unicorn",)
    for kind in KINDS:
        vowel = kind.name[0] in "aeiou" and not kind.name.startswith(spoken_as_consonant)
        assert kind.caption == f"{'an' if vowel else 'a'} {kind.name}"
        assert kind.caption == kind.caption.lower()


def test_every_kind_has_a_premultiplied_tile_with_a_margin():
    pictures = tiles()
    assert pictures.shape == (len(KINDS), SIDE, SIDE, 4)
    assert not pictures.flags.writeable
    assert (pictures[..., :3] <= pictures[..., 3:]).all()
    assert not pictures[:, [0, -1]].any()
    assert not pictures[:, :, [0, -1]].any()
    # The longer side is filled.
    opaque = pictures[..., 3] > 0
    extent = np.maximum(opaque.any(1).sum(-1), opaque.any(2).sum(-1))
    assert (extent >= SIDE - 4).all()


def test_no_two_kinds_look_nearly_alike():
    pictures = tiles().astype(np.float32).reshape(len(KINDS), 12, 4, 12, 4, 4).mean((2, 4))
    on_grey = (pictures[..., :3] + (255 - pictures[..., 3:]) / 2).reshape(len(KINDS), -1)
    distance = np.sqrt(((on_grey[:, None] - on_grey[None]) ** 2).mean(-1))
    assert distance[np.triu_indices(len(KINDS), 1)].min() > 15


def test_smaller_sprites_keep_the_kinds_mean_colour():
    for halvings in (1, 2):
        small = np.asarray(sprites(halvings)[7]).mean((0, 1))
        assert np.abs(small - tiles()[7].mean((0, 1))).max() < 1.5


def test_the_wheel_stays_small():
    assert ATLAS.stat().st_size < 1_000_000
    room = [path for path in ATLAS.parent.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in room) < 1_200_000
    notice = ATLAS.with_name("NOTICE").read_text()
    assert "Apache License" in notice
    assert f"{len(KINDS)} of the 64-pixel pictures" in notice
