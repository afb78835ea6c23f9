import json

import pytest
from PIL import Image

from eradio.cli import run_command
from eradio.errors import EradioError
from eradio.profile import Profile
from eradio.profile.engines import engine_names
from eradio.subjects.profiling import targets_of

OPTIONS = {"engine": "auto", "device": "auto", "precision": "fp32", "batches": "8", "sides": "64", "threads": 1}
QUICK = ["--protocol", "search"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _in_a_cache_of_its_own(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def run(capsys, *arguments):
    status = run_command(["profile", *arguments, *QUICK])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out


def test_a_name_is_enough(capsys):
    text = run(capsys, "e_radio_mini_s")
    for words in ("e_radio_mini_s", "images/s", "95 % interval", "p50 / p90 / p99", "roofline", "stage 2", "on cpu"):
        assert words in text


def test_several_networks_sizes_and_batches_are_one_command(capsys, monkeypatch):
    arguments = ["e_radio_mini_s", "shipped/dino", "--batch", "1,2", "--engine", "eager", "--only-throughput"]
    found = Profile.model_validate_json(run(capsys, *arguments, "--json"))
    assert [(row.name, row.measurement.target.batch) for row in found.networks] == [
        ("e_radio_mini_s", 1),
        ("shipped/dino", 1),
        ("e_radio_mini_s", 2),
        ("shipped/dino", 2),
    ]
    assert found.version == 2
    assert found.command == " ".join(["eradio", "profile", *arguments, "--json", *QUICK])
    assert {"cpu", "libraries", "python"} <= found.environment.keys()
    assert all(row.explanation is None for row in found.networks)
    assert found.networks[0].measurement.seconds == found.networks[1].measurement.seconds


def test_the_windows_follow_the_resolution(capsys):
    arguments = ["e_radio_mini_s", "--resolution", "64,96", "--engine", "eager", "--only-throughput", "--json"]
    small, large = Profile.model_validate_json(run(capsys, *arguments)).networks
    assert {one.window for one in small.measurement.windows} == {(2, 2)}
    assert {one.window for one in large.measurement.windows} == {(3, 3)}


def test_int8_is_calibrated_on_the_user_s_pictures(capsys, tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (40, 30), (200, 30, 60)).save(tmp_path / "pictures" / "one.png")
    arguments = ["timm/mobilenetv3_small_050", "--engine", "onnxruntime", "--precision", "int8", "--only-throughput"]
    found = json.loads(run(capsys, *arguments, "--calibration", str(tmp_path / "pictures"), "--json"))
    assert found["calibration"] == str(tmp_path / "pictures")
    assert found["networks"][0]["measurement"]["agreement"]["max_error"] > 1e-4


def test_the_picture_is_written(capsys, tmp_path):
    run(capsys, "e_radio_mini_s", "--engine", "eager", "--batch", "1", "--picture", str(tmp_path / "picture.svg"))
    assert (tmp_path / "picture.svg").read_text().startswith("<?xml")


def test_targets_are_every_pair_of_resolution_and_batch():
    targets, reason = targets_of(**{**OPTIONS, "sides": "64,96", "batches": "1,2", "engine": "eager", "device": "cpu"})
    assert [(one.resolution, one.batch) for one in targets] == [(64, 1), (64, 2), (96, 1), (96, 2)]
    assert reason == ""
    assert "Engine openvino on cpu" in targets_of(**{**OPTIONS, "device": "cpu"})[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batches": "1,x"}, "--batch must be a number or several with commas, as in 1,8,32, not '1,x'"),
        ({"sides": ""}, "--resolution must be a number"),
        ({"sides": "8"}, "greater than or equal to 16"),
        ({"device": "tpu"}, "--device must be auto, cpu or cuda, not 'tpu'"),
        ({"precision": "fp8"}, "--precision must be fp32, fp16, bf16 or int8, not 'fp8'"),
        ({"engine": "openvino", "precision": "fp16"}, "has no fp16 on cpu"),
        ({"engine": "warp"}, "no such engine; known engines are eager, inductor"),
        ({"protocol": "quick"}, "There is no protocol 'quick'"),
        ({"threads": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_sentences(changes, sentence):
    with pytest.raises(EradioError, match=sentence):
        targets_of(**{**OPTIONS, **changes})


def test_the_help_names_every_engine(capsys):
    assert run_command(["profile", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in engine_names())
