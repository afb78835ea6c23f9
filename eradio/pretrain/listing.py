"""The shipped teachers as a table."""

from rich.table import Table

from eradio.distill.teachers import shipped
from eradio.files import read_json
from eradio.interval import Interval
from eradio.pretrain.card import CARD


def cards_table() -> Table:
    """One row for each held-out score of each shipped teacher, read from the model cards.

    Raises:
        EradioError: a card is missing.
    """
    table = Table("teacher", "parameters", "metric on held-out scenes", "score (95 % interval)", "digest")
    for spec in shipped():
        card = read_json(spec.path() / CARD)
        first = spec.name, f"{card['parameters'] / 1e6:.2f} M", card["digest"]
        for metric, score in card["metrics"].items():
            interval = Interval.parse(score, metric)
            text = f"{interval.value:.1%} ({interval.low:.1%} to {interval.high:.1%})"
            table.add_row(first[0], first[1], metric, text, first[2])
            first = ("", "", "")
        table.add_section()
    return table
