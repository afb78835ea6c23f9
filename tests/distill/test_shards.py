"""Tar files as img2dataset writes them: read anywhere, whatever is broken in them."""

import io
import json
import struct
import tarfile
import threading
import zlib
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eradio.distill import shard_files
from eradio.distill.data import open_data
from eradio.distill.order import shown_at
from eradio.distill.readable import Readable
from eradio.distill.recipe import Recipe
from eradio.distill.shard_files import local
from eradio.distill.shards import Shards, list_shards
from eradio.errors import EradioError
from tests.contracts.dataset import DatasetContract


def _jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (number, 255 - number, 128)).save(file, "PNG")
    return file.getvalue()


def _bomb() -> bytes:
    """A few bytes that claim to be 60,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _shard(path: Path, numbers: range, spoiled: dict[int, bytes] | None = None) -> Path:
    """Picture, caption and metadata of each sample, as img2dataset lays them out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            members = {
                "png": (spoiled or {}).get(number, _jpeg(number)),
                "txt": b"a caption",
                "json": json.dumps({"key": number}).encode(),
            }
            for ending, content in members.items():
                member = tarfile.TarInfo(f"{number:09d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shard in range(3):
        _shard(tmp_path / "shards" / f"{shard:05d}.tar", range(10 * shard, 10 * shard + 10))
    return tmp_path / "shards"


class TestShards(DatasetContract):
    @pytest.fixture
    def make(self, folder):
        def opened() -> Readable:
            shards = Shards(list_shards(str(folder)))
            return Readable(shards, range(len(shards)))

        return opened


def test_every_picture_is_read_by_its_number(folder: Path) -> None:
    shards = Shards(list_shards(f"{folder}/{{00000..00002}}.tar"))
    assert len(shards) == 30
    assert shards.sizes == [10, 10, 10]
    assert [int(shards.read(number)[0, 0, 0]) for number in range(30)] == list(range(30))
    assert shards.name(17).endswith("00001.tar:7")


def test_the_last_shard_is_kept_for_validation_unless_others_are_named(folder: Path, tmp_path: Path) -> None:
    recipe = Recipe.parse({"data": {"kind": "shards", "path": str(folder)}}, "here")
    train, validation = open_data(recipe)
    assert (len(train), len(validation)) == (20, 10)
    assert int(validation.picture(0)[0, 0, 0]) == 20
    _shard(tmp_path / "val.tar", range(50, 54))
    named = {"kind": "shards", "path": str(folder), "validation": str(tmp_path / "val.tar")}
    train, validation = open_data(Recipe.parse({"data": named}, "here"))
    assert (len(train), len(validation)) == (30, 4)
    alone = Recipe.parse({"data": {"kind": "shards", "path": str(folder / "00000.tar")}}, "here")
    assert [len(one) for one in open_data(alone)] == [8, 2]


def test_broken_members_are_counted_and_replaced_by_their_neighbours(tmp_path: Path) -> None:
    spoiled = {3: b"no picture", 4: _jpeg(4)[:50], 7: _bomb()}
    path = _shard(tmp_path / "a.tar", range(10), spoiled)
    shards = Shards([str(path)])
    pictures = Readable(shards, range(10))
    assert [int(pictures.picture(number)[0, 0, 0]) for number in range(10)] == [0, 1, 2, 5, 5, 5, 6, 8, 8, 9]
    assert pictures.unreadable() == [f"{path}:{place}" for place in (3, 4, 7)]


def test_too_many_broken_members_stop_a_run(tmp_path: Path) -> None:
    path = _shard(tmp_path / "a.tar", range(200), dict.fromkeys(range(50, 90), b"no picture"))
    pictures = Readable(Shards([str(path)]), range(200), most=0.15)
    with pytest.raises(EradioError, match=r"21 pictures of .*a.tar cannot be read, more than 'unreadable'"):
        [pictures.picture(number) for number in range(200)]


def test_a_shard_that_was_cut_off_gives_what_it_still_has(tmp_path: Path) -> None:
    path = _shard(tmp_path / "a.tar", range(10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shards = Shards([str(path)])
    assert 3 <= len(shards) < 10
    assert int(shards.read(2)[0, 0, 0]) == 2


def test_a_changed_shard_is_looked_through_again(tmp_path: Path) -> None:
    path = _shard(tmp_path / "a.tar", range(10))
    before = Shards([str(path)]).digest
    _shard(path, range(5))
    assert len(Shards([str(path)])) == 5
    assert Shards([str(path)]).digest != before


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere/{000..003}.tar", "There is no shard nowhere/000.tar"),
        ("text.tar", "is no tar file"),
        ("empty.tar", "There is no picture in"),
        ("folder", "holds no shard"),
        ("ftp://example.org/a.tar", "by http or https"),
    ],
)
def test_what_is_no_shard_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.tar").write_text("no archive " * 200)
    _shard(Path("empty.tar"), range(0))
    Path("folder").mkdir()
    with pytest.raises(EradioError, match=words):
        Shards(list_shards(path))


@pytest.fixture
def server(tmp_path: Path):
    """A real server on loopback, which counts what it is asked for."""
    asked: Counter[str] = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked[self.path] += 1
            if self.path == "/short.tar":
                self.send_response(200)
                self.send_header("Content-Length", "9999")
                self.end_headers()
                self.wfile.write(b"half")
                return
            super().do_GET()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}", asked
        found.shutdown()


def test_shards_at_a_url_are_fetched_once(tmp_path: Path, server) -> None:
    url, asked = server
    for shard in range(2):
        _shard(tmp_path / f"{shard:05d}.tar", range(10 * shard, 10 * shard + 10))
    names = list_shards(f"{url}/{{00000..00001}}.tar")
    for _ in range(2):
        shards = Shards(names)
        assert [int(shards.read(number)[0, 0, 0]) for number in (0, 19)] == [0, 19]
    assert asked["/00000.tar"] == asked["/00001.tar"] == 1


def _told(path: Path, successes: int) -> None:
    """As img2dataset says of a shard how it went."""
    told = {"count": successes + 3, "successes": successes, "failed_to_download": 3, "duration": 1.5}
    path.with_name(f"{path.stem}_stats.json").write_text(json.dumps(told))


def test_a_shard_of_which_much_was_told_is_read_when_it_is_needed(tmp_path: Path, server) -> None:
    """A billion pictures are not looked at before the first step."""
    url, asked = server
    for shard in range(3):
        _told(_shard(tmp_path / f"{shard:05d}.tar", range(10 * shard, 10 * shard + 10)), 10)
    for _ in range(2):
        shards = Shards(list_shards(f"{url}/{{00000..00002}}.tar"))
        assert shards.sizes == [10, 10, 10]
        assert int(shards.read(17)[0, 0, 0]) == 17
    assert asked == {**{f"/0000{shard}_stats.json": 1 for shard in range(3)}, "/00001.tar": 1}


def test_what_was_told_belongs_to_the_identity(folder: Path) -> None:
    names = list_shards(str(folder))
    for name in names:
        _told(Path(name), 10)
    before = Shards(names).digest
    assert Shards(names).digest == before
    _told(Path(names[1]), 9)
    assert Shards(names).digest != before
    assert Shards(names).sizes == [10, 9, 10]


def test_pictures_that_were_told_of_and_are_not_there_are_unreadable(folder: Path) -> None:
    names = list_shards(str(folder))
    for name in names:
        _told(Path(name), 11)
    shards = Shards(names)
    pictures = Readable(shards, range(len(shards)))
    assert [int(pictures.picture(number)[0, 0, 0]) for number in (9, 10, 11, 32)] == [9, 10, 10, 0]
    assert pictures.unreadable() == [f"{names[0]}:10", f"{names[2]}:10"]


def test_fetched_shards_leave_room_for_others_and_come_again(tmp_path: Path, server, monkeypatch) -> None:
    url, asked = server
    for shard in range(4):
        _told(_shard(tmp_path / f"{shard:05d}.tar", range(10 * shard, 10 * shard + 10)), 10)
    size = (tmp_path / "00000.tar").stat().st_size
    shards = Shards(list_shards(f"{url}/{{00000..00003}}.tar"))

    def usage(path: Path):
        held = len(list(shard_files.cache_folder().glob("shards/*/*.tar")))
        return SimpleNamespace(free=(5 - held) * size)

    monkeypatch.setattr(shard_files.shutil, "disk_usage", usage)
    for number in (0, 10, 1, 20, 30, 2, 11):
        assert int(shards.read(number)[0, 0, 0]) == number
        assert len(list(shard_files.cache_folder().glob("shards/*/*.tar"))) <= 2
    assert [asked[f"/0000{shard}.tar"] for shard in range(4)] == [2, 2, 1, 1]


@pytest.mark.parametrize("name", ["none.tar", "short.tar"])
def test_what_cannot_be_fetched_whole_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = server
    monkeypatch.setattr(shard_files, "_WAITS", (0.0, 0.0))
    with pytest.raises(EradioError, match="cannot be fetched"):
        local(f"{url}/{name}")
    assert asked[f"/{name}"] == (3 if name == "short.tar" else 1)
    with pytest.raises(EradioError, match="cannot be fetched"):
        local(f"{url}/{name}")


def test_an_epoch_shows_every_picture_once_and_few_shards_at_a_time() -> None:
    stretches = tuple(np.random.default_rng(0).integers(5, 30, 100).tolist())
    count = sum(stretches)
    ends = np.cumsum(stretches)
    shown = [shown_at(0, 0, position, stretches) for position in range(count)]
    assert sorted(shown) == list(range(count))
    shards = np.searchsorted(ends, shown, side="right")
    together = [len(set(shards[start : start + 100])) for start in range(0, count - 100, 50)]
    assert max(together) <= 32
    assert np.median(together) > 10
    other = [shown_at(0, 1, position, stretches) for position in range(count)]
    assert sorted(other) == list(range(count))
    assert other != shown
    assert [shown_at(0, 0, position, stretches, 1) for position in range(count)] != shown
