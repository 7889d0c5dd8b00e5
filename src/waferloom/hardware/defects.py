"""Defects: which dies, links and cores are dead, read from a file or drawn at random."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from waferloom.errors import SpecError, describe_faults
from waferloom.hardware.document import faults_message, parse_toml, read_text
from waferloom.hardware.spec import DefectMap, SwitchedSpec, SystemSpec, TorusSpec

Position = tuple[int, int]
Link = tuple[Position, Position]


def read_defects(path: str | Path) -> DefectMap:
    """Return the defects that a TOML file lists.

    The keys are those of `DefectMap`, such as `dead_dies = [[0, 3]]`,
    `dead_links = [[[1, 1], [1, 2]]]` and `dead_core_fraction = 0.05`. Whether a system has these
    dies and links is checked by `with_defects`.

    Raises:
        SpecError: No such file, TOML that does not parse, or keys and values that are no defects.
    """
    table = parse_toml(read_text(Path(path), "give the path of a defects file"), str(path))
    try:
        return DefectMap.model_validate(table)
    except ValidationError as error:
        faults = describe_faults(error, DefectMap)
        raise SpecError(faults_message(str(path), "defects", faults)) from None


def with_defects(system: SystemSpec, defects: DefectMap) -> SystemSpec:
    """Return the system with these defects added to those it has.

    Core losses multiply: of the cores that lived before, `dead_core_fraction` die.

    Raises:
        SpecError: A die does not exist, a link joins no neighbours, or no die is left alive.
    """
    faults = defect_faults(system, defects)
    if faults:
        raise SpecError(faults_message(f"{system.name} with its defects", "a system", faults))
    had = system.defects
    links = {_sorted_link(link) for link in (*had.dead_links, *defects.dead_links)}
    merged = DefectMap(
        dead_dies=tuple(sorted({*had.dead_dies, *defects.dead_dies})),
        dead_links=tuple(sorted(links)),
        dead_core_fraction=1 - (1 - had.dead_core_fraction) * (1 - defects.dead_core_fraction),
    )
    faults = defect_faults(system, merged)
    if faults:
        raise SpecError(faults_message(f"{system.name} with its defects", "a system", faults))
    return system.model_copy(update={"defects": merged})


def random_defects(system: SystemSpec, *, num_dies: int, num_links: int, seed: int) -> DefectMap:
    """Draw dead dies and dead links at random, among what lives in the system.

    Every choice of dies is equally likely, and then every choice of links between dies that still
    live. Connectivity is not required: a network may fall apart, as real ones do.

    Args:
        system: The system; its own defects are not drawn again.
        num_dies: Dies to kill.
        num_links: Links to kill, both directions each.
        seed: Of the random generator; the same seed draws the same defects.

    Raises:
        SpecError: Fewer dies or links live than are to die; one die must be left.
    """
    random = np.random.default_rng(seed)
    live = sorted(set(_dies(system)) - set(system.defects.dead_dies))
    if not 0 <= num_dies < len(live):
        msg = (
            f"{num_dies} of {system.name}'s dies cannot die: {len(live)} live and one must be left"
        )
        raise SpecError(msg)
    dead = {live[i] for i in _drawn(random, len(live), num_dies)}
    gone = {_sorted_link(link) for link in system.defects.dead_links}
    links = [
        link
        for link in _links(system)
        if link not in gone and not dead.intersection(link) and set(link) <= set(live)
    ]
    if not 0 <= num_links <= len(links):
        msg = (
            f"{num_links} of {system.name}'s links cannot die: {len(links)} join dies that live"
            f" after {num_dies} dies are gone"
        )
        raise SpecError(msg)
    cut = sorted(links[i] for i in _drawn(random, len(links), num_links))
    return DefectMap(dead_dies=tuple(sorted(dead)), dead_links=tuple(cut))


def defect_faults(system: SystemSpec, defects: DefectMap) -> list[str]:
    """Return a sentence for every defect that the system cannot have."""
    rows, cols = system.grid_shape
    faults = [
        f"dead_dies has ({row}, {col}), but {system.name} has rows 0..{rows - 1} and columns"
        f" 0..{cols - 1}"
        for row, col in defects.dead_dies
        if not (0 <= row < rows and 0 <= col < cols)
    ]
    if defects.dead_links:
        links = set(_links(system))
        faults += [
            f"dead_links has {link[0]} - {link[1]}, but {system.name} joins no such neighbours"
            for link in defects.dead_links
            if _sorted_link(link) not in links
        ]
    if not faults and len(set(defects.dead_dies)) == system.num_dies:
        faults.append(f"a dead mesh: all {system.num_dies} dies are dead; leave at least one alive")
    return faults


def _drawn(random: np.random.Generator, num_items: int, num_drawn: int) -> list[int]:
    return random.permutation(num_items)[:num_drawn].tolist()


def _dies(system: SystemSpec) -> Iterator[Position]:
    rows, cols = system.grid_shape
    return ((row, col) for row in range(rows) for col in range(cols))


def _sorted_link(link: Link) -> Link:
    return (link[0], link[1]) if link[0] <= link[1] else (link[1], link[0])


def _links(system: SystemSpec) -> list[Link]:
    """Return the links between neighbours, each once, ends sorted; a switch has none."""
    net = system.interconnect
    rows, cols = system.grid_shape
    if isinstance(net, SwitchedSpec):
        return []
    if not isinstance(net, TorusSpec):
        east = [((r, c), (r, c + 1)) for r in range(rows) for c in range(cols - 1)]
        south = [((r, c), (r + 1, c)) for r in range(rows - 1) for c in range(cols)]
        return sorted(east + south)
    plane = net.shape[0]
    depth = net.shape[2] if len(net.shape) == 3 else 1
    links: set[Link] = set()
    for row, col in _dies(system):
        slice_and_depth, i = divmod(row, plane)
        first, k = slice_and_depth - slice_and_depth % depth, slice_and_depth % depth
        beside = [
            (slice_and_depth * plane + _next(i, plane), col),
            (row, _next(col, cols)),
            ((first + _next(k, depth)) * plane + i, col),
        ]
        links.update(_sorted_link(((row, col), other)) for other in beside if other != (row, col))
    return sorted(links)


def _next(place: int, size: int) -> int:
    """Return the next place of a ring; a dimension of two or less does not wrap around."""
    return (place + 1) % size if size > 2 else min(place + 1, size - 1)
