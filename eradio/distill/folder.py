"""Pictures of the user's own, as files below a folder."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from eradio.description import digest_of
from eradio.distill.decode import Pixels, endings, opened, read_picture
from eradio.distill.readable import Readable
from eradio.errors import EradioError


class Files:
    """A list of files below a folder."""

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self._root = root
        self._files = list(files)
        self.place = str(root)

    @cached_property
    def digest(self) -> str:
        """Of names, sizes and times of change."""
        stats = [(file.relative_to(self._root).as_posix(), file.stat()) for file in self._files]
        return digest_of([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])

    def __len__(self) -> int:
        return len(self._files)

    def name(self, number: int) -> str:
        """Relative to the folder; bytes that are no text are written out."""
        path = self._files[number].relative_to(self._root)
        return path.as_posix().encode("utf-8", "backslashreplace").decode()

    def read(self, number: int) -> Pixels:
        """Picture `number` as [H, W, 3]."""
        return read_picture(self._files[number])

    def look(self, number: int) -> None:
        """Open its header."""
        with opened(self._files[number]):
            pass


class FolderPictures(Readable):
    """A list of picture files; one that cannot be read is replaced by its next readable neighbour.

    Args:
        root: the folder they are named relative to.
        files: the pictures.
        others: pictures of the same folder that take their place where none of `files` can be read.
        most: share of them that may be unreadable.
    """

    def __init__(self, root: Path, files: Sequence[Path], others: Sequence[Path] = (), most: float = 1.0) -> None:
        every = Files(root, [*files, *others])
        super().__init__(every, range(len(files)), range(len(files), len(every)), most)


def list_pictures(root: Path) -> list[Path]:
    """Every file below `root` whose ending names a picture format, in a fixed order.

    Raises:
        EradioError: there is no such folder, or no such file in it.
    """
    if not root.is_dir():
        raise EradioError(f"There is no folder {root}. Give the folder that holds your pictures.")
    known = endings()
    # The figures of a run that was made in the same folder are none of its pictures.
    found = list(root.rglob("*"))
    runs = {path.parent for path in found if path.name in ("study.json", "run.json")}
    pictures = (path for path in found if path.suffix.lower() in known and path.is_file())
    files = sorted(path for path in pictures if runs.isdisjoint(path.parents))
    if not files:
        raise EradioError(f"The folder {root} holds no picture file (png, jpg, webp, tif, ...). Give another folder.")
    return files
