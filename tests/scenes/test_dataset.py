import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eradio.errors import EradioError
from eradio.scenes import KINDS, SPLITS, Scenes, kinds, render

indices = st.integers(0, 2**31 - 2)

DRAWN = """
import hashlib
from eradio.scenes import Scenes
print(hashlib.sha256(b"".join(Scenes("test").picture(i).tobytes() for i in range(20))).hexdigest())
"""


@settings(max_examples=40)
@given(st.sampled_from(SPLITS), st.integers(0, 5), indices)
def test_a_picture_is_a_pure_function_of_split_seed_and_index(split, seed, index):
    scenes = Scenes(split, seed=seed)
    first = scenes.picture(index)
    scenes.picture(3)
    assert np.array_equal(first, Scenes(split, seed=seed).picture(index))
    assert np.array_equal(first, scenes.scene(index).picture)
    assert first.shape == (64, 64, 3)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous


def test_another_process_draws_the_same_pictures():
    pictures = b"".join(Scenes("test").picture(index).tobytes() for index in range(20))
    other = subprocess.run([sys.executable, "-c", DRAWN], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(pictures).hexdigest()


def test_index_and_seed_change_the_picture():
    drawn = {Scenes(seed=seed).picture(index).tobytes() for seed in range(3) for index in range(50)}
    assert len(drawn) == 150


def test_a_larger_picture_shows_the_same_scene():
    small, large = Scenes(size=64).scene(5), Scenes(size=128).scene(5)
    assert small.caption == large.caption
    halved = large.picture.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - small.picture).mean() < 12


def test_the_digest_tells_descriptions_apart():
    digests = {Scenes(split, size=size, seed=seed).digest for split in SPLITS for size in (64, 96) for seed in (0, 1)}
    assert len(digests) == len(SPLITS) * 4
    assert Scenes("val").digest == Scenes("val").digest


def test_the_digest_changes_with_the_stored_pictures_and_the_rendering(monkeypatch, tmp_path):
    before = Scenes().digest
    monkeypatch.setattr(render, "VERSION", render.VERSION + 1)
    assert Scenes().digest != before
    monkeypatch.undo()
    other = tmp_path / "kinds.npz"
    other.write_bytes(kinds.ATLAS.read_bytes() + b"\0")
    monkeypatch.setattr(kinds, "ATLAS", other)
    kinds.atlas_digest.cache_clear()
    assert Scenes().digest != before
    monkeypatch.undo()
    kinds.atlas_digest.cache_clear()
    assert Scenes().digest == before


def test_the_pictures_do_not_end():
    scenes = Scenes("val")
    assert len(scenes) == 2**31 - 1
    scenes.picture(len(scenes) - 1)
    for outside in (-1, len(scenes)):
        with pytest.raises(IndexError, match="is not in 0"):
            scenes.picture(outside)


def test_every_kind_occurs():
    scenes = Scenes()
    seen = {placed.kind for index in range(1500) for placed in scenes.layout(index).objects}
    assert seen == set(range(len(KINDS)))


def test_mistakes_are_sentences():
    with pytest.raises(EradioError, match=r"no split 'dev'. Choose one of train, val, test, single, single-train\.$"):
        Scenes("dev")
    with pytest.raises(EradioError, match=r"8 pixels is out of range. Choose 16 to 512\.$"):
        Scenes(size=8)
