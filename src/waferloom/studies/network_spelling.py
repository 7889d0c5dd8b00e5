"""Short spellings of networks, of faults, and of groups of dies, as typed on a command line.

A network without dies worth speaking of is still a `SystemSpec`, so that defects, topologies and
maps work on it as on any other; the numbers of its dies are placeholders that nothing here reads.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from waferloom.errors import SpecError
from waferloom.hardware import random_defects, with_defects
from waferloom.hardware.spec import (
    CoreArraySpec,
    DieSpec,
    Dtype,
    Interconnect,
    LinkSpec,
    MemorySpec,
    MeshSpec,
    Source,
    SystemSpec,
    TorusSpec,
    WaferGridSpec,
)
from waferloom.network.topology import IntArray, Topology

_MESH: Final = re.compile(r"(?:(?P<wafers>\d+x\d+)@)?(?P<dies>\d+x\d+)")
_TORUS: Final = re.compile(r"torus:(?P<shape>\d+x\d+(?:x\d+)?)")
_BLOCK: Final = re.compile(r"\d+x\d+")
_RANGE: Final = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?")
MOST_DIES: Final = 1 << 20
"""Larger networks are taken for slips of the keyboard."""

_PLACEHOLDER: Final = DieSpec(
    name="any die",
    peak_flops_per_s={Dtype.BF16: 1.0},
    vector_flops_per_s=1.0,
    sram_bytes=1.0,
    clock_hz=1.0,
    cores=CoreArraySpec(rows=1, cols=1, tile_shapes=((1, 1),), sram_bytes=1.0),
    memory=MemorySpec(capacity_bytes=1.0, bandwidth_bytes_per_s=1.0),
)


def network_system(spelling: str, link: LinkSpec, outer_link: LinkSpec | None = None) -> SystemSpec:
    """Return the network that a spelling means.

    Args:
        spelling: `6x8` dies; `2x2@8x8`, a grid of 2x2 wafers of 8x8 dies; `torus:4x4` or
            `torus:4x4x4`.
        link: Every link, one direction.
        outer_link: Links between wafers.

    Raises:
        SpecError: The spelling means nothing, or wafers have no link between them.

    Example:
        >>> link = LinkSpec(bandwidth_bytes_per_s=1e11, latency_s=5e-7)
        >>> network_system("6x8", link).num_dies
        48
    """
    return SystemSpec(
        name=spelling,
        die=_PLACEHOLDER,
        interconnect=_interconnect(spelling, link, outer_link),
        source=(Source(title="given by its spelling"),),
    )


def _interconnect(spelling: str, link: LinkSpec, outer_link: LinkSpec | None) -> Interconnect:
    mesh, torus = _MESH.fullmatch(spelling), _TORUS.fullmatch(spelling)
    if mesh is None and torus is None:
        msg = (
            f"mesh {spelling!r} is not understood: write rows x columns such as 6x8, wafers @ dies "
            "such as 2x2@8x8, or torus:4x4x4"
        )
        raise SpecError(msg)
    sizes = [int(size) for size in re.findall(r"\d+", spelling)]
    if min(sizes) < 1 or np.prod(sizes, dtype=np.float64) > MOST_DIES:
        msg = f"mesh {spelling!r} has a size outside 1..{MOST_DIES} dies; check its numbers"
        raise SpecError(msg)
    if torus is not None:
        return TorusSpec(kind="torus", shape=tuple(sizes), link=link)
    if len(sizes) == 2:
        return MeshSpec(kind="mesh", rows=sizes[0], cols=sizes[1], link=link)
    if outer_link is None:
        msg = f"mesh {spelling!r} has several wafers: say what joins them with an outer link"
        raise SpecError(msg)
    return WaferGridSpec(
        kind="wafer_grid",
        wafer_rows=sizes[0],
        wafer_cols=sizes[1],
        rows=sizes[2],
        cols=sizes[3],
        link=link,
        wafer_link=outer_link,
    )


def with_faults(system: SystemSpec, spelling: str) -> SystemSpec:
    """Return the system with random faults, such as `links=3,dies=1,seed=7`.

    Raises:
        SpecError: The spelling means nothing, or the system has not so many dies or links.
    """
    counts = {"dies": 0, "links": 0, "seed": 0}
    for part in spelling.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in counts or not value.strip().isdecimal():
            msg = (
                f"faults {spelling!r} are not understood at {part.strip()!r}: write whole numbers, "
                "such as links=3,dies=1,seed=7"
            )
            raise SpecError(msg)
        counts[name.strip()] = int(value)
    if not counts["dies"] and not counts["links"]:
        msg = f"faults {spelling!r} kill nothing; say how many, such as links=3 or dies=1"
        raise SpecError(msg)
    drawn = random_defects(
        system, num_dies=counts["dies"], num_links=counts["links"], seed=counts["seed"]
    )
    return with_defects(system, drawn)


def member_groups(topology: Topology, spellings: Sequence[str]) -> IntArray:
    """Return the groups that spellings mean, padded with -1; they all work at the same time.

    Args:
        topology: Whose dies.
        spellings: Each `all` (one group of all live dies), `rows`, `columns`, a block such as `2x4`
            (as many groups as such blocks fit), or numbers of dies such as `0-7,12`, counted row by
            row from 0. Of rows, columns and blocks only live dies take part.

    Raises:
        SpecError: A spelling means nothing or names a die that is not there.

    Example:
        >>> from waferloom.network.topology import build_topology
        >>> link = LinkSpec(bandwidth_bytes_per_s=1e11, latency_s=5e-7)
        >>> topology = build_topology(network_system("2x4", link))
        >>> member_groups(topology, ["2x2"]).tolist()
        [[0, 1, 4, 5], [2, 3, 6, 7]]
    """
    groups = [group for spelling in spellings for group in _groups(topology, spelling.strip())]
    width = max(group.size for group in groups)
    padded_GN = np.full((len(groups), width), -1, dtype=np.int64)
    for row, group in enumerate(groups):
        padded_GN[row, : group.size] = group
    return padded_GN


def _groups(topology: Topology, spelling: str) -> list[IntArray]:
    if spelling == "all":
        return [np.flatnonzero(topology.is_live_D)]
    if spelling == "rows":
        return _live_parts(topology, topology.row_D)
    if spelling == "columns":
        return _live_parts(topology, topology.col_D)
    if _BLOCK.fullmatch(spelling):
        return _blocks(topology, *(int(size) for size in spelling.split("x")))
    return [_numbered(topology, spelling)]


def _live_parts(topology: Topology, part_D: IntArray) -> list[IntArray]:
    dies = np.flatnonzero(topology.is_live_D & (part_D >= 0))
    return [dies[part_D[dies] == part] for part in np.unique(part_D[dies])]


def _blocks(topology: Topology, rows: int, cols: int) -> list[IntArray]:
    num_rows, num_cols = int(topology.row_D.max()) + 1, int(topology.col_D.max()) + 1
    if not (1 <= rows <= num_rows and 1 <= cols <= num_cols):
        msg = f"members {rows}x{cols}: {topology.name} has {num_rows} x {num_cols} dies"
        raise SpecError(msg)
    down, across = num_rows // rows, num_cols // cols
    block_row_D, block_col_D = topology.row_D // rows, topology.col_D // cols
    fits_D = (block_row_D < down) & (block_col_D < across)
    return _live_parts(topology, np.where(fits_D, block_row_D * across + block_col_D, -1))


def _numbered(topology: Topology, spelling: str) -> IntArray:
    dies: list[int] = []
    for part in spelling.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            msg = (
                f"members {spelling!r} are not understood at {part.strip()!r}: write all, rows, "
                "columns, a block such as 2x4, or numbers of dies such as 0-7,12"
            )
            raise SpecError(msg)
        first = int(match["first"])
        last = first if match["last"] is None else int(match["last"])
        if last < first:
            msg = f"members {spelling!r}: {part.strip()} runs backwards; write {last}-{first}"
            raise SpecError(msg)
        if last >= topology.num_dies:
            msg = (
                f"members {spelling!r}: die {last} is outside {topology.name}, which has dies "
                f"0..{topology.num_dies - 1}, counted row by row"
            )
            raise SpecError(msg)
        dies.extend(range(first, last + 1))
    return np.array(dies, dtype=np.int64)
