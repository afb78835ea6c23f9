"""What a run leaves behind: the student's weights, its architecture, a model card and a manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from eradio.distill.heads import TeacherShape
from eradio.distill.recipe import Recipe
from eradio.distill.scales import Scales
from eradio.distill.student import Student
from eradio.distill.teachers.base import UNKNOWN_LICENCE
from eradio.distill.teachers.licence import LICENCES
from eradio.distill.trainer import Outcome
from eradio.errors import EradioError
from eradio.files import read_json, write_atomically, write_json
from eradio.search_space import Network, build, describe, parse_network
from eradio.tensors import write_tensors

WEIGHTS = "student.safetensors"
RECIPE = "recipe.json"


def write_finished(
    folder: Path, student: Student, network: Network, recipe: Recipe, outcome: Outcome, manifest: Mapping[str, Any]
) -> None:
    """Write all of it; the student's heads answer in the teachers' own scales already.

    Raises:
        MachineError: the file system is full or cannot be written.
    """
    write_json(folder / "architecture.json", network.model_dump(mode="json"))
    write_json(folder / RECIPE, recipe.model_dump(mode="json"))
    write_json(folder / "manifest.json", {**manifest, "loss": outcome.loss, "losses": outcome.parts})
    text = _card(student, network, recipe, outcome, manifest.get(LICENCES, {}))
    write_atomically(folder / "README.md", lambda path: path.write_text(text, encoding="utf-8"))
    write_tensors(folder / WEIGHTS, {name: value.cpu() for name, value in student.state_dict().items()})


def read_finished(folder: Path, shapes: tuple[TeacherShape, ...]) -> Student:
    """The student of a run that has ended, with its heads, in evaluation mode.

    Args:
        folder: of the run.
        shapes: what its heads must know of the teachers.

    Raises:
        EradioError: there is none, or its weights are of another network or of other teachers.
    """
    described = folder / "architecture.json"
    network = parse_network(read_json(described), str(described))
    student = Student(build(network), shapes, recipe_of(folder))
    known = _weights(folder)
    try:
        student.load_state_dict(known)
    except RuntimeError:
        raise EradioError(f"The weights in {folder} are not those of its network and its teachers.") from None
    return student.eval()


def recipe_of(folder: Path) -> Recipe:
    """By which recipe a finished student was taught.

    Raises:
        EradioError: the folder does not say.
    """
    return Recipe.parse(read_json(folder / RECIPE), str(folder / RECIPE))


def take_over(student: Student, folder: Path, scales: Scales) -> list[str]:
    """Begin with the weights of another run's student, as the next stage of a training does.

    Heads of teachers that both have go on from where they were; those of others stay as they are.

    Args:
        student: takes the weights.
        folder: of the run, or of a trial or finalist of a search.
        scales: how this run balances its teachers.

    Returns:
        Names of the teachers whose heads are new.

    Raises:
        EradioError: there is no student, or it is of another network.
    """
    known = _weights(folder)
    own = student.state_dict()
    body = {name for name in own if name.startswith("backbone.")}
    theirs = {name for name in known if name.startswith("backbone.")}
    if theirs != body or any(known[name].shape != own[name].shape for name in body):
        raise EradioError(f"The student in {folder} is of another network. Give that network, or another student.")
    taken = {name: known[name] for name in body}
    new = []
    for teacher in student.heads:
        head = {name for name in own if name.startswith(f"heads.{teacher}.")}
        if all(name in known and known[name].shape == own[name].shape for name in head):
            taken |= {name: known[name] for name in head}
        else:
            new.append(teacher)
    student.load_state_dict(taken, strict=False)
    student.heads.balance({name: scale for name, scale in scales.items() if name not in new})
    return new


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        return load_file(path)
    except FileNotFoundError:
        raise EradioError(f"{folder} holds no {WEIGHTS}. Give the folder of a run that has ended.") from None
    except SafetensorError as error:
        raise EradioError(f"{path} is no safetensors file ({error}).") from None


def _card(student: Student, network: Network, recipe: Recipe, outcome: Outcome, licences: Mapping[str, str]) -> str:
    weights = sum(value.numel() for value in student.backbone.parameters())
    teachers = [
        f"| {one.name} | {one.kind} | {one.model or one.weights} | {licences.get(one.name, UNKNOWN_LICENCE)} |"
        for one in recipe.teachers
    ]
    losses = [f"| {name} | {value:.4f} |" for name, value in outcome.parts.items()]
    return "\n".join(
        [
            "# A student of several teachers",
            "",
            f"- Network: {describe(network)}, {weights:,} parameters (digest {network.digest()}).",
            f"- Taught for {outcome.steps} steps; recipe {recipe.digest()}, which stands in recipe.json.",
            f"- Pictures that could not be read and were replaced: {len(outcome.unreadable)}.",
            "",
            "| teacher | library | model | licence of the weights |",
            "| --- | --- | --- | --- |",
            *teachers,
            "",
            "The teachers' licences apply to what was learnt from them.",
            "",
            "Loss of each head over the validation pictures:",
            "",
            "| head | loss |",
            "| --- | --- |",
            *losses,
            "",
            "`eradio export . --to timm` (or onnx, torch, hf) writes the backbone for other programs;",
            "`student.safetensors` holds it under `backbone.`, and the adaptor heads under `heads.`.",
            "",
        ]
    )
