"""Folders of pictures: any format, any size, and files that are no pictures."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eradio.distill.data import crop_picture, open_data
from eradio.distill.decode import read_picture
from eradio.distill.folder import FolderPictures, list_pictures
from eradio.distill.recipe import FolderData, Recipe
from eradio.distill.schedule import Slot, whole
from eradio.errors import EradioError
from eradio.scenes import Scenes


def _save(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB", seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels, "RGBA").convert(mode).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _save(tmp_path / "a.png", mode="RGBA")
    _save(tmp_path / "deep" / "er" / "b.jpg", size=(200, 100))
    _save(tmp_path / "deep" / "C.WEBP", size=(33, 77))
    _save(tmp_path / "d.gif", mode="P")
    _save(tmp_path / "e.tif", mode="L")
    _save(tmp_path / "f.bmp")
    (tmp_path / "notes.txt").write_text("not a picture, and not named like one")
    return tmp_path


def test_nested_folders_and_every_format_are_found(folder: Path) -> None:
    files = list_pictures(folder)
    assert {file.name for file in files} == {"a.png", "b.jpg", "C.WEBP", "d.gif", "e.tif", "f.bmp"}
    for file in files:
        pixels = read_picture(file)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3


def test_the_orientation_tag_is_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (40, 20, 3)


def test_an_unreadable_file_is_named_and_replaced_by_its_neighbour(folder: Path) -> None:
    (folder / "b_text.png").write_text("this is text")
    broken = folder / "c_broken.jpg"
    broken.write_bytes((folder / "deep" / "er" / "b.jpg").read_bytes()[:300])
    pictures = FolderPictures(folder, list_pictures(folder))
    names = [file.name for file in list_pictures(folder)]
    for name in ("b_text.png", "c_broken.jpg"):
        place = names.index(name)
        following = next(n for n in names[place:] + names if n not in ("b_text.png", "c_broken.jpg"))
        assert np.array_equal(pictures.picture(place), pictures.picture(names.index(following)))
    assert pictures.unreadable() == ["b_text.png", "c_broken.jpg"]


def test_check_names_files_that_are_no_pictures(folder: Path) -> None:
    (folder / "fake.png").write_text("this is text")
    assert FolderPictures(folder, list_pictures(folder)).check() == ["fake.png"]


def test_where_no_file_of_a_part_can_be_read_the_rest_of_the_folder_stands_in(tmp_path: Path) -> None:
    """Four pictures give one to validation; whichever of them is a text file, both parts have pictures."""
    for bad in range(4):
        root = tmp_path / str(bad)
        root.mkdir()
        for number in range(4):
            _save(root / f"{number}.png", size=(8, 8 + number))
        (root / f"{bad}.png").write_text("this is text")
        parts = open_data(Recipe(data=FolderData(path=root)))
        assert [name for part in parts for name in part.check()] == [f"{bad}.png"]
        for part in parts:
            assert all(part.picture(index).shape[2] == 3 for index in range(len(part)))


def test_a_name_that_is_no_text_can_be_printed(folder: Path) -> None:
    file = folder / os.fsdecode(b"caf\xe9.png")
    file.write_text("this is text")
    assert FolderPictures(folder, list_pictures(folder)).check() == ["caf\\udce9.png"]


def test_a_failure_that_may_pass_makes_no_file_unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(file: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files", str(file))

    pictures = FolderPictures(folder, list_pictures(folder))
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", busy)
        for attempt in (pictures.check, lambda: pictures.picture(0)):
            with pytest.raises(OSError, match="Too many open files"):
                attempt()
    assert pictures.check() == []


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "bomb.png", size=(64, 64))
    _save(tmp_path / "fine.png", size=(8, 8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    pictures = FolderPictures(tmp_path, list_pictures(tmp_path))
    assert pictures.picture(0).shape == (8, 8, 3)
    assert pictures.unreadable() == ["bomb.png"]


@pytest.mark.parametrize("make", ["missing", "empty", "only text"])
def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path, make: str) -> None:
    root = tmp_path / "pictures"
    if make != "missing":
        root.mkdir()
    if make == "only text":
        (root / "fake.png").write_text("text")
    with pytest.raises(EradioError) as caught:
        open_data(Recipe(data=FolderData(path=root)))[0].picture(0)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_training_and_validation_share_no_file(folder: Path) -> None:
    train, validation = open_data(Recipe(data=FolderData(path=folder)))
    assert (len(train), len(validation)) == (5, 1)
    assert not any(np.array_equal(train.picture(i), validation.picture(0)) for i in range(5))


def test_the_digest_follows_the_files(folder: Path) -> None:
    files = list_pictures(folder)
    before = FolderPictures(folder, files).digest
    assert FolderPictures(folder, files).digest == before
    os.utime(folder / "a.png", ns=(1, 1))
    assert FolderPictures(folder, files).digest != before


def test_crops_are_the_slot_s_square() -> None:
    ramp = np.zeros((50, 100, 3), np.uint8)
    ramp[..., 0] = np.arange(100)
    middle = crop_picture(ramp, whole(0), 50)
    assert middle.shape == (3, 50, 50)
    assert middle[0, 0].tolist() == list(range(25, 75))
    half = crop_picture(ramp, Slot(0, left=0.5, top=0.0, side=0.5, mirrored=False), 25)
    assert half[0, 0].tolist() == list(range(50, 75))
    mirrored = crop_picture(ramp, Slot(0, left=0.5, top=0.0, side=0.5, mirrored=True), 25)
    assert mirrored[0, 0].tolist() == list(range(74, 49, -1))


def test_scenes_are_the_default_and_endless() -> None:
    train, validation = open_data(Recipe())
    assert len(train) > 10**9
    for index in range(6):
        assert not np.array_equal(train.picture(index), validation.picture(index))


def test_scenes_show_groups_and_single_objects_in_turn() -> None:
    train, _ = open_data(Recipe())
    for index in range(3):
        assert np.array_equal(train.picture(2 * index), Scenes("train").picture(index))
        assert np.array_equal(train.picture(2 * index + 1), Scenes("single-train").picture(index))


def test_grey_of_16_bits_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert np.abs(read_picture(tmp_path / "ramp.png")[:, :, 1].ravel().astype(int) - np.arange(256)).max() <= 1
    Image.fromarray(ramp.astype(np.float32) / 65535).save(tmp_path / "ramp.tif")
    assert np.abs(read_picture(tmp_path / "ramp.tif")[:, :, 2].ravel().astype(int) - np.arange(256)).max() <= 1


def test_whatever_a_decoder_raises_makes_a_file_unreadable(folder: Path) -> None:
    # A DDS file with a pixel format that nobody knows: the decoder raises NotImplementedError.
    header = bytearray(128)
    header[:8], header[76:80] = b"DDS \x7c\0\0\0", (32).to_bytes(4, "little")
    header[12:16], header[16:20], header[80:84] = (8).to_bytes(4, "little"), (8).to_bytes(4, "little"), b"\0\0\1\0"
    (folder / "odd.dds").write_bytes(bytes(header))
    with pytest.raises(NotImplementedError):
        read_picture(folder / "odd.dds")
    pictures = FolderPictures(folder, list_pictures(folder))
    assert pictures.check() == ["odd.dds"]
    assert all(pictures.picture(index).shape[2] == 3 for index in range(len(pictures)))


def test_programs_and_the_figures_of_a_search_are_no_pictures(folder: Path) -> None:
    before = list_pictures(folder)
    (folder / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    _save(folder / "runs" / "mine" / "report" / "pareto.png")
    (folder / "runs" / "mine" / "study.json").write_text("{}")
    assert list_pictures(folder) == before
