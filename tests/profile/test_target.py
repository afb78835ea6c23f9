import pytest
from hypothesis import given
from hypothesis import strategies as st

from eradio.errors import EradioError
from eradio.profile import Protocol, Target
from eradio.profile.target import protocol_named


@given(shortest=st.floats(0.01, 10), factor=st.floats(1, 100), looks=st.integers(1, 32))
def test_looks_ascend_to_the_longest_time(shortest, factor, looks):
    protocol = Protocol(min_seconds=shortest, max_seconds=shortest * factor, looks=looks)
    times = protocol.look_times()
    assert len(times) == looks
    assert list(times) == sorted(times)
    assert times[-1] == pytest.approx(protocol.max_seconds)
    assert looks == 1 or times[0] == pytest.approx(protocol.min_seconds)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"engine": "tensorflow"}, "'engine': no such engine; known engines are eager, inductor"),
        ({"precision": "int3"}, "'precision': .*fp32.*int3"),
        ({"engine": "openvino", "precision": "fp16"}, "engine 'openvino' has no fp16 on cpu; it has fp32, bf16, int8"),
        ({"engine": "openvino", "device": "cuda"}, "engine 'openvino' runs on cpu, not on cuda"),
        ({"batch": 0}, "'batch': .*greater than or equal to 1"),
        ({"protocol": {"min_seconds": 3}}, "'protocol': min_seconds 3 is above max_seconds 2.5; lower it"),
        ({"treads": 2}, "'treads' is not a known key; known keys are engine, device, precision"),
    ],
)
def test_mistakes_are_sentences(data, sentence):
    with pytest.raises(EradioError, match=f"^study.yaml: {sentence}"):
        Target.parse(data, "study.yaml")


def test_a_target_survives_json():
    target = Target(engine="eager", batch=4, protocol=Protocol(looks=1))
    assert Target.model_validate_json(target.canonical()) == target


def test_protocols_have_names_and_ask_for_ever_more():
    search, standard, final = (protocol_named(name) for name in ("search", "standard", "final"))
    assert search == Protocol()
    assert search.half_width > standard.half_width > final.half_width
    assert search.max_seconds < standard.max_seconds < final.min_seconds
    assert (final.min_seconds, final.min_samples) == (600.0, 24_576)


def test_an_unknown_protocol_is_a_sentence():
    with pytest.raises(EradioError, match=r"There is no protocol 'hasty'; choose one of search, standard, final\."):
        protocol_named("hasty")
