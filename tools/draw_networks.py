"""Writes docs/networks.md and the diagrams beside it: every named architecture, counted, with the published values.

Run: python tools/draw_networks.py
"""

from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from eradio.search_space import Architecture, Network, baselines, build, fit_windows, named
from eradio.search_space.diagram import as_svg
from eradio.search_space.zoo import zoo

DOCS = Path(__file__).parents[1] / "docs"
DRAWN = ("e_radio_b", "e_radio_v1_b", "e_radio_xxxtiny_8x_ws16")
SIDE = 224

# Official networks, without last norm and classifier: parameters, and 10^9 multiply-accumulates at 224 pixels.
OFFICIAL = {
    "e_radio_l": (389_598_784, 33.870),
    "e_radio_b": (173_268_800, 15.181),
    "e_radio_xxxtiny": (10_255_008, 4.27),
    "e_radio_v1_b": (117_404_480, 10.538),
    "e_radio_v1_l": (263_924_800, 23.445),
    "e_radio_v1_b_noneck": (112_677_696, 10.230),
}

# 10^9 multiply-accumulates at 224 pixels without a head, as counted for the paper's comparison set.
RIVALS = {
    "efficientnetv2_s": 2.85,
    "resnetv2_101": 7.80,
    "regnety_064": 6.35,
    "efficientvit_l1": 5.26,
    "convnext_b": 15.35,
    "nfnet_f3": 33.3,
    "maxvit_b": 23.4,
    "poolformerv2_m36": 8.76,
    "mvitv2_b": 10.1,
}

HEAD = """# Named networks

Written by `python tools/draw_networks.py`. Parameters are those of the backbone, without a classifier and the norm
before it. GMACs are billions of multiply-accumulates of convolutions, linear layers and attention for one picture of
224 pixels (torch's counter, which counts no norms). "Published" is what the official networks of these sizes count to;
a dash stands where nothing is published. The official smallest networks were built for windows of 16 or 12, which a map
of 7x7 does not fit: "GMACs, fitted" has the windows that `eradio profile` chooses for 224 pixels.

"""


def cost(network: Network) -> tuple[int, float, tuple[int, ...]]:
    """Parameters, multiply-accumulates in billions, and the shape of the spatial output."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        module = build(network).eval()
        features = module(torch.rand(1, 3, SIDE, SIDE))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return parameters, counter.get_total_flops() / 2e9, tuple(features.spatial.shape[1:])


def ours() -> list[str]:
    """The rows of E-RADIO and its miniatures."""
    rows = [
        "| name | parameters | published | GMACs, own window | published | GMACs, fitted | spatial | summary |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, network in zoo().items():
        if isinstance(network, Architecture):
            parameters, gmacs, shape = cost(network)
            fitted = cost(fit_windows(network, (SIDE, SIDE)))[1]
            published = OFFICIAL.get(name)
            count, macs = (f"{published[0]:,}", f"{published[1]:g}") if published else ("–", "–")
            spatial = "x".join(map(str, shape))
            counted = f"{parameters:,} | {count} | {gmacs:.3f} | {macs} | {fitted:.3f}"
            rows.append(f"| `{name}` | {counted} | {spatial} | {shape[0]} |")
    return rows


def rivals() -> list[str]:
    """The rows of the paper's comparison set."""
    rows = [
        "| name | timm's name | parameters | GMACs | published | spatial | summary |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, network in baselines("paper"):
        parameters, gmacs, shape = cost(network)
        published, spatial = RIVALS.get(name, "–"), "x".join(map(str, shape))
        timm_name = f"`{network.name}`" if not isinstance(network, Architecture) else ""
        rows.append(f"| `{name}` | {timm_name} | {parameters:,} | {gmacs:.2f} | {published} | {spatial} | {shape[0]} |")
    return rows


def page() -> str:
    """The whole page."""
    rivals_head = (
        "\n## The paper's rivals\n\nThe backbones that the paper compares E-RADIO with (arXiv 2312.06709), as timm has "
        "them, and a ViT:\n`baselines: paper` in a study's file puts all of them through the study's recipe. FasterViT "
        "is not part of timm.\nSwinV2-S has windows of 7 here; its published cost is for windows of 8.\n\n"
    )
    return HEAD + "\n".join(ours()) + "\n" + rivals_head + "\n".join(rivals()) + "\n"


def main() -> None:
    """Write the page and the diagrams."""
    (DOCS / "networks.md").write_text(page(), encoding="utf-8")
    for name in DRAWN:
        network = named(name)
        assert isinstance(network, Architecture)
        (DOCS / f"{name}.svg").write_text(as_svg(name, network, (SIDE, SIDE)), encoding="utf-8")


if __name__ == "__main__":
    main()
