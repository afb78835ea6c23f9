"""From (split, seed, index) to what stands where: a pure function, no pixel touched."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from eradio.scenes.draws import Draws, direction
from eradio.scenes.kinds import KINDS
from eradio.scenes.splits import (
    RELATIONS,
    Relation,
    Split,
    held_out_partners,
    held_out_relation,
    is_held_out_pair,
    is_single,
    is_trainable,
    shows_held_out,
)
from eradio.scenes.textures import HELD_OUT, TRAINING, Texture, draw_texture

# Least and greatest size by the number of objects meant: together they fit a picture whatever their relation.
_SIZES = {1: (0.42, 0.80), 2: (0.32, 0.48), 3: (0.28, 0.40), 4: (0.25, 0.35)}
_SINGLE_SIZE = (0.55, 0.85)
_INSIDE = 0.85
_OVERLAP = 0.2
_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Placed:
    """One object.

    Attributes:
        kind: index into KINDS.
        x, y: centre, in sides of the picture from its left and upper edge.
        size: the object's longer side before rotation, in sides of the picture.
        turn: rotation in full turns, clockwise.
        mirrored: whether left and right are swapped before the rotation.
        gain: brightness with respect to the scene's, at most 1.
    """

    kind: int
    x: float
    y: float
    size: float
    turn: float
    mirrored: bool
    gain: float


@dataclass(frozen=True, slots=True)
class Light:
    """The scene's lighting.

    Attributes:
        tint: brightness of red, green and blue, at most 1.
        turn: direction in full turns in which it darkens.
        fall: the share of light lost at the dark end.
    """

    tint: tuple[float, float, float]
    turn: float
    fall: float


@dataclass(frozen=True, slots=True)
class Layout:
    """All that a picture shows.

    Attributes:
        objects: in the order in which the caption names them.
        painting: indices into `objects`, from the back to the front.
        texture: the background.
        light: the lighting of all.
    """

    objects: tuple[Placed, ...]
    painting: tuple[int, ...]
    texture: Texture
    light: Light


def lay_out(split: Split, seed: int, index: int) -> Layout:
    """The layout of one sample: a pure function of its arguments.

    Three and four objects are meant equally often as one and two; an object for which no place is left is
    dropped, so somewhat fewer pictures show four.
    """
    draws = Draws("scene", split, seed, index)
    texture = draw_texture(draws, HELD_OUT if shows_held_out(split) else TRAINING)
    light = _light(draws)
    if is_single(split):
        objects, painting = [_place(draws, index % len(KINDS), _SINGLE_SIZE)], [0]
    else:
        objects, painting = _group(draws, 1 + draws.below(4), shows_held_out(split))
    return Layout(tuple(objects), tuple(painting), texture, light)


def relation(first: Placed, second: Placed, first_in_front: bool) -> Relation:
    """The one relation that holds: in front or behind where they overlap well, else along the longer axis."""
    if _overlap(first, second) >= _OVERLAP:
        return Relation.FRONT if first_in_front else Relation.BEHIND
    across, down = second.x - first.x, second.y - first.y
    if abs(across) >= abs(down):
        return Relation.LEFT if across > 0 else Relation.RIGHT
    return Relation.ABOVE if down > 0 else Relation.BELOW


def relations(layout: Layout) -> Iterator[tuple[int, Relation, int]]:
    """(kind, its relation to, other kind) for each two objects of a layout."""
    depth = {place: depth for depth, place in enumerate(layout.painting)}
    for place, first in enumerate(layout.objects):
        for other, second in enumerate(layout.objects[:place]):
            yield first.kind, relation(first, second, depth[place] > depth[other]), second.kind


def _group(draws: Draws, count: int, held_out: bool) -> tuple[list[Placed], list[int]]:
    first = draws.below(len(KINDS))
    if count == 1:
        return [_place(draws, first, _SIZES[1])], [0]
    second, wanted = _company(draws, first, held_out)
    objects = _pair(draws, first, second, wanted, _SIZES[count])
    in_front = wanted is Relation.FRONT or (wanted is not Relation.BEHIND and draws.below(2) == 1)
    painting = [1, 0] if in_front else [0, 1]
    for _ in range(count - 2):
        _add(draws, objects, painting, _SIZES[count], held_out)
    return objects, painting


def _company(draws: Draws, first: int, held_out: bool) -> tuple[int, Relation]:
    """A second kind, and the relation of the first to it."""
    if held_out and draws.below(2):
        return draws.one_of(held_out_partners(first)), draws.one_of(RELATIONS)
    while True:
        second = draws.below(len(KINDS))
        if second != first and not is_held_out_pair(first, second):
            withheld = held_out_relation(first, second)
            others = [relation for relation in RELATIONS if relation is not withheld]
            return second, withheld if held_out else draws.one_of(others)


def _pair(draws: Draws, kind: int, other: int, wanted: Relation, sizes: tuple[float, float]) -> list[Placed]:
    """Two objects in the wanted relation, as a pair anywhere in the picture."""
    size, its = draws.between(*sizes), draws.between(*sizes)
    half = (size + its) / 2
    if wanted in (Relation.FRONT, Relation.BEHIND):
        distance = half - draws.between(0.28, 0.48) * min(size, its)
        cosine, sine = direction(draws.unit())
        across, down = distance * cosine, distance * sine
    else:
        along = draws.between(half, min(1.6 * half, 1 - _INSIDE * half))
        side = draws.between(-0.6, 0.6) * along
        along = along if wanted in (Relation.LEFT, Relation.ABOVE) else -along
        across, down = (along, side) if wanted in (Relation.LEFT, Relation.RIGHT) else (side, along)
    x, its_x = _two(draws, size, its, across)
    y, its_y = _two(draws, size, its, down)
    return [_placed(draws, kind, x, y, size), _placed(draws, other, its_x, its_y, its)]


def _two(draws: Draws, size: float, its: float, step: float) -> tuple[float, float]:
    """Coordinates of two objects a step apart, both inside the picture; the sizes leave room for the step."""
    edge, its_edge = _INSIDE * size / 2, _INSIDE * its / 2
    place = draws.between(max(edge, its_edge - step), min(1 - edge, 1 - its_edge - step))
    return place, place + step


def _add(draws: Draws, objects: list[Placed], painting: list[int], sizes: tuple[float, float], held_out: bool) -> None:
    """Place one more object, hardly touching the others, at a random depth; none if no place is found."""
    depth, size = draws.below(len(painting) + 1), draws.between(*sizes)
    turn, mirrored, gain = _look(draws)
    for _ in range(_ATTEMPTS):
        x, y = _centre(draws, size)
        new = Placed(draws.below(len(KINDS)), x, y, size, turn, mirrored, gain)
        if all(
            _overlap(new, other) < _OVERLAP / 2
            and new.kind != other.kind
            and (held_out or is_trainable(new.kind, relation(new, other, False), other.kind))
            for other in objects
        ):
            painting.insert(depth, len(objects))
            objects.append(new)
            return


def _overlap(first: Placed, second: Placed) -> float:
    """How deep one square reaches into the other along the line of centres, in sides of the smaller."""
    across, down = first.x - second.x, first.y - second.y
    distance = math.sqrt(across * across + down * down)
    return ((first.size + second.size) / 2 - distance) / min(first.size, second.size)


def _place(draws: Draws, kind: int, sizes: tuple[float, float]) -> Placed:
    size = draws.between(*sizes)
    x, y = _centre(draws, size)
    return _placed(draws, kind, x, y, size)


def _placed(draws: Draws, kind: int, x: float, y: float, size: float) -> Placed:
    turn, mirrored, gain = _look(draws)
    return Placed(kind, x, y, size, turn, mirrored, gain)


def _centre(draws: Draws, size: float) -> tuple[float, float]:
    edge = _INSIDE * size / 2
    return draws.between(edge, 1 - edge), draws.between(edge, 1 - edge)


def _look(draws: Draws) -> tuple[float, bool, float]:
    """Rotation, mirroring and brightness."""
    return draws.between(-0.1, 0.1), draws.below(2) == 1, draws.between(0.8, 1)


def _light(draws: Draws) -> Light:
    gain = draws.between(0.8, 1)
    tint = (gain * draws.between(0.85, 1), gain * draws.between(0.85, 1), gain * draws.between(0.85, 1))
    return Light(tint, draws.unit(), draws.between(0, 0.35))
