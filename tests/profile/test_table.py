import json

import pytest
from rich.console import Console

from eradio.interval import Interval
from eradio.profile import Measurement, Target, as_json, table
from eradio.profile.record import Agreement, CallTimes, Reference


def made_up(verdict="settled", engine="openvino"):
    times = CallTimes(fastest=1, quarter=2, median=3, three_quarters=4, slowest=5)
    return Measurement(
        identity="i",
        network="n",
        target=Target(engine=engine),
        environment="e",
        throughput=Interval(value=12345, low=12000, high=12700),
        ratio=Interval(value=1.5, low=1.47, high=1.53),
        verdict=verdict,
        latency_ms=3,
        calls=99,
        seconds=0.4,
        canary=Reference(canary="canary-1", images_per_second=8230, half_width=0.01),
        parameters=1_230_000,
        gmacs=0.0456,
        activations=789,
        agreement=Agreement(cosine=1, max_error=0),
        times=times,
        canary_times=times,
        load=0.5,
    )


def shown(measurements):
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(measurements))
    return console.export_text()


def test_a_row_says_what_was_measured_and_how_sure_it_is():
    text = shown({"e_radio_mini": made_up()})
    for part in (
        "e_radio_mini",
        "12,345",
        "12,000 to 12,700",
        "1.500 ± 2.0%",
        "3.00",
        "1.23",
        "0.046",
        "99",
        "settled",
    ):
        assert part in text
    assert "openvino fp32, batch 8, 64 px, 1 thread" in text
    assert "unsettled" not in text


def test_an_unsettled_row_is_explained():
    assert "wider than asked for" in shown({"a": made_up(), "b": made_up("unsettled")})


@pytest.mark.parametrize("engines", [("eager",), ("eager", "openvino")])
def test_every_target_is_in_the_caption(engines):
    text = shown({engine: made_up(engine=engine) for engine in engines})
    assert all(f"{engine} fp32" in text for engine in engines)


def test_json_holds_the_whole_measurement():
    parsed = json.loads(as_json({"a": made_up()}))
    assert Measurement.parse(parsed["a"], "here") == made_up()
