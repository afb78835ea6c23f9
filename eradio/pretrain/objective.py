"""What the shared loop needs to know of an objective."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from eradio.distill.teachers.spec import Kind


class Objective(nn.Module, ABC):
    """A network in training with everything it needs beside it (heads, a moving average): one state dict."""

    kind: ClassVar[Kind]
    words: ClassVar[str]
    """The objective in a sentence, for the model card."""
    rate: ClassVar[float] = 1e-3
    decay: ClassVar[float] = 0.05
    betas: ClassVar[tuple[float, float]] = (0.9, 0.98)

    batch: int
    data_words: str
    data_digest: str

    @abstractmethod
    def loss(self, step: int) -> Tensor:
        """The loss of a step's batch, a scalar; a pure function of the weights and the step."""

    def after(self, step: int, steps: int) -> None:
        """What is done after a step's update, such as a moving average; nothing by default."""

    @abstractmethod
    def result(self) -> tuple[Mapping[str, Any], nn.Module]:
        """The configuration and the network that a teacher is made of."""

    def prepare(self, folder: Path) -> None:
        """Write what else the teacher's folder needs; nothing by default."""
