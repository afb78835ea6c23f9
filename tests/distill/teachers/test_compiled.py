"""Teachers that are compiled answer what they answer otherwise, but for rounding."""

import pytest
import torch
from torch._dynamo.utils import counters

from eradio.distill.data import open_data
from eradio.distill.pages import Page
from eradio.distill.recipe import Partition, Recipe
from eradio.distill.targets import LiveTargets
from eradio.distill.teachers import TeacherSpec
from eradio.distill.teachers.compiled import worth_compiling

RECIPE = Recipe(
    teachers=(TeacherSpec(kind="dino", name="dino"),), partitions=(Partition(batch=2),), validation=2, steps=2
)
PAGE = Page("train", 0)


def _answers(compiled: bool) -> list[torch.Tensor]:
    live = LiveTargets(RECIPE, *open_data(RECIPE), compiled=compiled)
    return [part for answer in live.exact(PAGE).values() for part in answer if part is not None]


def test_only_long_trainings_on_a_gpu_compile_their_teachers() -> None:
    assert worth_compiling("cuda", 10_000)
    assert not worth_compiling("cuda", 100)
    assert not worth_compiling("cpu", 10_000)


@pytest.mark.no_cover
def test_compiled_teachers_answer_the_same_but_for_rounding() -> None:
    torch.set_num_threads(1)
    torch._dynamo.reset()
    counters.clear()
    for plain, compiled in zip(_answers(False), _answers(True), strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4)
    assert counters["stats"]["unique_graphs"] >= 1


def test_a_teacher_that_cannot_be_compiled_answers_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def broken(*graph: object, **options: object) -> None:
        tried.append(graph)
        raise RuntimeError("there is no compiler here")

    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", broken)
    for plain, compiled in zip(_answers(False), _answers(True), strict=True):
        torch.testing.assert_close(compiled, plain, rtol=0, atol=0)
    assert tried
    torch._dynamo.reset()
