import pytest

from eradio.errors import EradioError
from eradio.profile.auto import PREFERRED, choose, is_installed
from eradio.profile.engines import LISTINGS


def without(*missing):
    return lambda name: name not in missing


def no_gpu():
    return False


def a_gpu():
    return True


def test_without_a_gpu_the_fastest_engine_of_the_cpu_is_taken_and_the_reason_told():
    choice = choose("auto", "auto", "fp32", installed=without(), gpu=no_gpu)
    assert (choice.engine, choice.device) == ("openvino", "cpu")
    assert choice.reason == (
        "Engine openvino on cpu: PyTorch sees no NVIDIA GPU; "
        "openvino is the first of openvino, onnxruntime, eager that is installed and offers fp32."
    )


def test_what_is_missing_is_passed_over_and_said():
    choice = choose("auto", "cpu", "fp32", installed=without("openvino"), gpu=no_gpu)
    assert choice.engine == "onnxruntime"
    assert "openvino is not installed (pip install openvino)" in choice.reason
    choice = choose("auto", "cpu", "bf16", installed=without("openvino"), gpu=no_gpu)
    assert choice.engine == "eager"
    assert "onnxruntime has no bf16 on cpu" in choice.reason


def test_on_a_gpu_tensorrt_comes_first():
    choice = choose("auto", "auto", "fp16", installed=without(), gpu=a_gpu)
    assert (choice.engine, choice.device) == ("tensorrt", "cuda")
    choice = choose("auto", "auto", "fp16", installed=without("tensorrt"), gpu=a_gpu)
    assert (choice.engine, choice.device) == ("inductor", "cuda")


def test_a_precision_that_nothing_offers_is_a_sentence():
    with pytest.raises(EradioError, match="No engine offers fp16 on cpu: openvino has no fp16"):
        choose("auto", "auto", "fp16", installed=without(), gpu=no_gpu)


def test_the_user_s_engine_is_kept_and_only_its_device_settled():
    assert choose("eager", "cpu", "fp32", gpu=a_gpu) == ("eager", "cpu", "")
    assert choose("openvino", "auto", "fp32", gpu=a_gpu) == ("openvino", "cpu", "")
    assert choose("tensorrt", "auto", "fp32", gpu=no_gpu) == ("tensorrt", "cuda", "")
    assert choose("eager", "auto", "fp32", gpu=a_gpu) == ("eager", "cuda", "Device cuda: PyTorch sees an NVIDIA GPU.")
    assert choose("tensorflow", "auto", "fp32", gpu=no_gpu).engine == "tensorflow"


def test_every_preferred_engine_is_listed_and_this_installation_is_seen():
    assert {name for names in PREFERRED.values() for name in names} == set(LISTINGS)
    assert is_installed("eager")
    assert is_installed("openvino")
