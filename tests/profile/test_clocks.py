import os
import time

import pytest

from eradio.profile.clocks import state


def test_stolen_time_is_the_eighth_number_in_ticks(tmp_path):
    (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 800 9 10\ncpu0 1 2 3 4 5 6 7 1 9 10\n")
    assert state(proc=tmp_path).stolen == 800 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text("cpu  1 2 3\n")
    assert (state(proc=tmp_path).stolen, state(proc=tmp_path).others) == (None, None)


def test_what_others_use_is_all_that_is_neither_idle_nor_waiting_nor_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "process_time", lambda: 2.0)
    (tmp_path / "stat").write_text("cpu  1000 200 300 99999 88888 40 5 777 0 0\n")
    assert state(proc=tmp_path).others == pytest.approx(1545 / os.sysconf("SC_CLK_TCK") - 2.0)


def test_the_clock_is_cpufreq_s_and_else_that_of_cpuinfo(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 3}, raising=False)
    (tmp_path / "cpuinfo").write_text("".join(f"processor : {one}\ncpu MHz\t\t: {2000 + one}.5\n" for one in range(4)))
    assert state(proc=tmp_path, system=tmp_path).cpu_mhz == 2002.5
    for one, khz in ((1, 3_000_000), (2, 3_100_000), (3, 3_200_000)):
        folder = tmp_path / f"devices/system/cpu/cpu{one}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{khz}\n")
    assert state(proc=tmp_path, system=tmp_path).cpu_mhz == 3100.0


def test_a_system_without_proc_is_silence(tmp_path):
    found = state(proc=tmp_path, system=tmp_path)
    assert (found.stolen, found.others, found.cpu_mhz) == (None, None, None)
    assert found.seconds <= state().seconds
