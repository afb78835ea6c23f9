"""A teacher's model card, for people and for programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eradio.distill.teachers import Teacher
from eradio.files import write_atomically, write_json
from eradio.interval import Interval

CARD = "card.json"


def write_card(folder: Path, teacher: Teacher, facts: Mapping[str, Any], metrics: Mapping[str, Interval]) -> None:
    """Write card.json and card.md into the teacher's folder.

    Args:
        folder: of the teacher.
        teacher: as loaded from the folder; its digest ties the card to the weights.
        facts: objective, data, steps and the like, as plain data.
        metrics: held-out scores, 0 to 1.
    """
    described = {
        **facts,
        "digest": teacher.digest,
        "resolution": teacher.resolution,
        "summary width": teacher.summary_width,
        "spatial width": teacher.spatial_width,
        "parameters": sum(parameter.numel() for parameter in teacher.parameters()),
    }
    scores = {name: interval.model_dump(mode="json") for name, interval in metrics.items()}
    write_json(folder / CARD, {**described, "metrics": scores})
    text = markdown(teacher.name, described, metrics)
    write_atomically(folder / "card.md", lambda temporary: temporary.write_text(text, encoding="utf-8"))


def markdown(name: str, facts: Mapping[str, Any], metrics: Mapping[str, Interval]) -> str:
    """The card as a page of Markdown."""
    told = [f"- {key}: {_plain(value)}" for key, value in facts.items()]
    rows = [f"| {key} | {_percent(value)} |" for key, value in metrics.items()]
    return "\n".join(
        [
            f"# The small {name} teacher",
            "",
            *told,
            "",
            "Held-out scores in per cent, with 95 % bootstrap intervals over pictures:",
            "",
            "| metric | score |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def _plain(fact: object) -> str:
    if fact is None:
        return "none"
    return f"{fact:.4g}" if isinstance(fact, float) else str(fact)


def _percent(interval: Interval) -> str:
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
