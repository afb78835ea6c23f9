"""Pictures of a data set of the Hugging Face hub, or of a folder that its library wrote."""

import io
from typing import Any

from eradio.description import digest_of
from eradio.distill.decode import Pixels, opened, read_picture
from eradio.errors import EradioError


class HubPictures:
    """One split of a data set, read through the library `datasets`.

    Raises:
        EradioError: the library is not installed, or there is no such data set, split or column.
    """

    def __init__(self, name: str, split: str, column: str) -> None:
        try:
            import datasets
        except ImportError:
            raise EradioError("Data sets of the hub need another library: pip install 'eradio[data]'.") from None
        try:
            rows: Any = _loaded(datasets, name, split)
            if column not in rows.column_names:
                raise KeyError(f"it has the columns {', '.join(rows.column_names)}")
            self._rows = rows.cast_column(column, datasets.Image(decode=False))
        except Exception as error:  # the library has a class of its own for every way to fail
            words = " ".join(str(error).split())[:200]
            raise EradioError(
                f"The data set '{name}' (split '{split}', column '{column}') cannot be opened: {words}. "
                "Correct 'name', 'split' or 'column' in the recipe."
            ) from None
        self._column = column
        self.place = f"{name}, split {split}"
        self.digest = digest_of([name, split, column, len(self._rows), getattr(rows, "_fingerprint", "")])

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, number: int) -> str:
        """Row `number`."""
        return f"{self.place}, row {number}"

    def read(self, number: int) -> Pixels:
        """Picture `number` as [H, W, 3]."""
        return read_picture(self._file(number))

    def look(self, number: int) -> None:
        """Open its header."""
        with opened(self._file(number)):
            pass

    def _file(self, number: int) -> io.BytesIO:
        stored = self._rows[number][self._column]
        if stored["bytes"] is not None:
            return io.BytesIO(stored["bytes"])
        with open(stored["path"], "rb") as file:
            return io.BytesIO(file.read())


def _loaded(datasets: Any, name: str, split: str) -> Any:
    from pathlib import Path

    if (Path(name) / "state.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
        found = datasets.load_from_disk(name)
        return found[split] if isinstance(found, dict) else found
    return datasets.load_dataset(name, split=split, trust_remote_code=False)
