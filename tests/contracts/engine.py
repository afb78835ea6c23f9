"""What every engine must do. A new engine's test module subclasses `EngineContract` and gives an `engine` fixture,
and a `device` fixture if the engine runs elsewhere than on the CPU.

class TestMyEngine(EngineContract):
    @pytest.fixture
    def engine(self):
        return MyEngine()
"""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from eradio.features import Features
from eradio.profile.agreement import agreement
from eradio.profile.engines.base import Device, Engine, Job, tensors_in


class Student(nn.Module):
    """A convolution, a norm and an attention: [B, 3, H, W] to both kinds of features."""

    def __init__(self, seed: int = 0, summary: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, 16, 4, stride=4)
            self.norm = nn.BatchNorm2d(16)
            self.qkv = nn.Conv2d(16, 48, 1)
        self.summary = summary
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> Features:
        x = functional.silu(self.norm(self.stem(pictures)))
        query, key, value = self.qkv(x).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
        spatial = x + mixed
        return Features(spatial.mean((2, 3)) if self.summary else None, spatial)


class Named(nn.Module):
    """Features by name."""

    def __init__(self) -> None:
        super().__init__()
        self.student = Student()
        self.eval()

    def forward(self, pictures: Tensor) -> dict[str, object]:
        summary, spatial = self.student(pictures)
        return {"summary": summary, "spatial": [spatial, spatial.amax(1)]}


class Sharp(nn.Module):
    """Attention that tells its places apart, as a trained one does and a fresh one does not: [B, 3, 32, 32] pictures
    to a map of 2x2 places."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.stem, self.qkv = nn.Conv2d(3, 16, 16, stride=16), nn.Linear(16, 48)
            self.qkv.weight.data.mul_(30)
        self.heads = heads
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        places = self.stem(pictures).flatten(2).transpose(1, 2)
        count, size, width = places.shape
        parts = self.qkv(places).reshape(count, size, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts.unbind(0))
        return mixed.transpose(1, 2).reshape(count, size, width)


class EngineContract:
    """The suite. `engine` must be overridden."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("give the engine under test")

    @pytest.fixture
    def device(self) -> Device:
        return "cpu"

    @pytest.fixture
    def pictures(self) -> Tensor:
        return torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))

    @pytest.fixture
    def job(self, pictures, device) -> Job:
        return Job(pictures, 1, device=device)

    def test_so_many_calls_take_so_many_times_as_long(self, engine, device):
        """Coarsely, against an engine that answers before it has computed, or computes one call of many."""
        wide = nn.Sequential(nn.Conv2d(3, 128, 3, 2), nn.Conv2d(128, 256, 3), nn.Conv2d(256, 256, 3)).eval()
        pictures = torch.rand(4, 3, 128, 128)
        with engine.prepare(wide.requires_grad_(False), Job(pictures, 1, device=device)) as prepared:
            prepared.run(2)
            seconds = {calls: [] for calls in (1, 12)}
            for _ in range(3):
                for calls, taken in seconds.items():
                    start = time.perf_counter()
                    prepared.run(calls)
                    taken.append(time.perf_counter() - start)
        assert min(seconds[12]) > 4 * min(seconds[1])

    @pytest.mark.parametrize("network", [Student(), Student(summary=False), Named()], ids=["both", "spatial", "named"])
    def test_computes_what_eager_computes(self, engine, pictures, job, network):
        with torch.inference_mode():
            wanted = tuple(tensor.numpy() for tensor in tensors_in(network(pictures)))
        with engine.prepare(network, job) as prepared:
            outputs = prepared.outputs()
        assert all(output.dtype == np.float32 for output in outputs)
        agreement(outputs, wanted, engine.name)

    @pytest.mark.parametrize("heads", [2, 4], ids=["other heads than places", "as many heads as places"])
    def test_attention_is_computed_within_its_heads(self, engine, pictures, job, heads):
        network = Sharp(heads)
        wanted = (network(pictures).numpy(),)
        with engine.prepare(network, job) as prepared:
            agreement(prepared.outputs(), wanted, engine.name)

    def test_outputs_are_the_callers_own_and_do_not_change_from_call_to_call(self, engine, job):
        with engine.prepare(Student(), job) as prepared:
            first = prepared.outputs()
            kept = [output.copy() for output in first]
            for output in first:
                output[:] = 7
            prepared.run(3)
            second = prepared.outputs()
        assert all(bool((output == 7).all()) for output in first)
        for before, after in zip(kept, second, strict=True):
            np.testing.assert_array_equal(before, after)

    def test_two_networks_at_once_do_not_disturb_each_other(self, engine, job):
        with engine.prepare(Student(seed=1), job) as one:
            alone = one.outputs()
            with engine.prepare(Student(seed=2), job) as other:
                other.run()
                together, others = one.outputs(), other.outputs()
            afterwards = one.outputs()
        for before, during, after, different in zip(alone, together, afterwards, others, strict=True):
            np.testing.assert_array_equal(before, during)
            np.testing.assert_array_equal(before, after)
            assert not np.array_equal(before, different)

    def test_leaves_the_network_and_the_pictures_as_they_were(self, engine, pictures, job):
        network, given = Student(), pictures.clone()
        state = {name: value.clone() for name, value in network.state_dict().items()}
        strides = {name: value.stride() for name, value in network.state_dict().items()}
        with engine.prepare(network, job) as prepared:
            prepared.outputs()
        assert torch.equal(given, pictures)
        assert not any(part.training for part in network.modules())
        for name, value in network.state_dict().items():
            assert torch.equal(value, state[name])
            assert value.stride() == strides[name]

    def test_leaves_torchs_threads_as_they_were(self, engine, job):
        before = torch.get_num_threads()
        with engine.prepare(Student(), replace(job, threads=before + 1)) as prepared:
            prepared.run()
            prepared.outputs()
            assert torch.get_num_threads() == before
        assert torch.get_num_threads() == before

    def test_takes_pictures_in_any_memory_format(self, engine, pictures, job):
        with engine.prepare(Student(), job) as prepared:
            plain = prepared.outputs()
        last = pictures.contiguous(memory_format=torch.channels_last)
        with engine.prepare(Student(), replace(job, pictures=last)) as prepared:
            agreement(prepared.outputs(), plain, engine.name)

    def test_is_quiet_and_writes_nothing(self, engine, job, capfd, recwarn, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        with engine.prepare(Student(), job) as prepared:
            prepared.run()
        assert capfd.readouterr() == ("", "")
        assert [str(warning.message) for warning in recwarn] == []
        assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == []

    def test_may_be_closed_twice(self, engine, job):
        prepared = engine.prepare(Student(), job)
        prepared.close()
        prepared.close()
