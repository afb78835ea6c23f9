"""Data sets of the Hugging Face hub, through their own library."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eradio.distill.data import open_data
from eradio.distill.hub_data import HubPictures
from eradio.distill.readable import Readable
from eradio.distill.recipe import Recipe
from eradio.errors import EradioError
from tests.contracts.dataset import DatasetContract

datasets = pytest.importorskip("datasets", reason="needs the library datasets: pip install 'eradio[data]'")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """As the library itself writes one; row 2 holds no picture."""
    rows = []
    for number in range(10):
        file = io.BytesIO()
        Image.new("RGB", (20, 10), (number, 0, 0)).save(file, "PNG")
        rows.append({"bytes": b"no picture" if number == 2 else file.getvalue(), "path": None})
    features = datasets.Features({"picture": datasets.Image(), "label": datasets.Value("int64")})
    made = datasets.Dataset.from_dict({"picture": rows, "label": list(range(10))}, features=features)
    datasets.DatasetDict({"train": made, "test": made.select(range(3))}).save_to_disk(str(tmp_path / "set"))
    return str(tmp_path / "set")


class TestHubPictures(DatasetContract):
    @pytest.fixture
    def make(self, folder):
        def opened() -> Readable:
            rows = HubPictures(folder, "train", "picture")
            return Readable(rows, range(len(rows)))

        return opened


def test_a_split_is_divided_unless_another_is_named(folder: str) -> None:
    plain = {"kind": "hub", "name": folder, "column": "picture"}
    train, validation = open_data(Recipe.parse({"data": plain}, "here"))
    assert (len(train), len(validation)) == (8, 2)
    assert np.array_equal(train.picture(2), train.picture(3))
    assert train.unreadable() == [f"{folder}, split train, row 2"]  # type: ignore[attr-defined]
    train, validation = open_data(Recipe.parse({"data": {**plain, "validation": "test"}}, "here"))
    assert (len(train), len(validation)) == (10, 3)


@pytest.mark.parametrize("change", [{"split": "nonesuch"}, {"column": "nonesuch"}, {"name": "/nowhere/at/all"}])
def test_what_is_not_there_is_one_sentence(folder: str, change: dict[str, str]) -> None:
    asked = {"name": folder, "split": "train", "column": "picture", **change}
    with pytest.raises(EradioError, match="cannot be opened"):
        HubPictures(**asked)
