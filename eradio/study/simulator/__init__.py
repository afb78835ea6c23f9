"""Searches replayed over recorded curves: the real sampler and the real decisions, with made-up clocks and failures."""

from eradio.study.simulator.replay import Replay, replay
from eradio.study.simulator.scenario import Scenario
from eradio.study.simulator.table import Member, Table, read_table, shipped_table

__all__ = ["Member", "Replay", "Scenario", "Table", "read_table", "replay", "shipped_table"]
