"""`Topology`: the nodes and directed links of a system, with what is dead already left out.

Meshes, tori, wafers joined to wafers and switched clusters become the same arrays here, so nothing
above needs to know which it is. Switches are nodes without compute, numbered after the dies.

Assumptions:
    - Switches and the fabrics between nodes or slices are non-blocking: only ports limit.
    - `latency_s` and `energy_j_per_byte` of a link through a switch are what two devices see, port
      to port; half is put on the way up and half on the way down.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.errors import SpecError
from waferloom.hardware.spec import (
    LinkSpec,
    MeshSpec,
    SwitchedSpec,
    SystemSpec,
    TorusSpec,
    WaferGridSpec,
)

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class LinkKind(IntEnum):
    """What a link physically is; `kind_L` holds these numbers."""

    D2D = 0
    WAFER = 1
    SCALE_UP = 2
    SCALE_OUT = 3
    TORUS = 4
    SLICE = 5


class Port(IntEnum):
    """Where a die's outgoing links leave, and for the last two pairs, where links enter it.

    The first six are the directions of the lattice: +-column, +-row, +-depth.
    """

    EAST = 0
    WEST = 1
    SOUTH = 2
    NORTH = 3
    FAR = 4
    NEAR = 5
    NODE_UP = 6
    NODE_DOWN = 7
    FABRIC_UP = 8
    FABRIC_DOWN = 9


NUM_LATTICE_PORTS: Final = 6
NO_LINK: Final = -1  # inside index arrays only, where None has no number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Topology:
    """Directed links between nodes; dead dies keep their number but have no links.

    Axes: L links, sorted by source and then destination; D dies, dead ones included; N nodes, the
    dies first and then the switches; P the entries of `Port`.

    Attributes:
        name: Of the system.
        source_L: Node a link leaves.
        destination_L: Node it enters.
        bandwidth_bytes_per_s_L: One direction.
        latency_s_L: First byte of an empty message.
        energy_j_per_byte_L: Per byte carried.
        kind_L: `LinkKind`.
        num_dies: D.
        num_nodes: N.
        is_live_D: False for dead dies.
        row_D: Row on the die grid (node of a switched system), row 0 north.
        col_D: Column on the die grid (device of the node), column 0 west.
        domain_D: Which wafer, node or slice a die belongs to.
        num_domains: Wafers, nodes or slices.
        lattice_shape: Depth, rows and columns of the lattice that dimension-order routing walks
            (one slice of a torus system); `(1, 1, 1)` if there is none.
        wraps: Which of these three dimensions close on themselves.
        lattice_D3: Depth, row and column of a die on its lattice.
        port_link_DP: Link at each port, or `NO_LINK`.
        has_faults: Whether a lattice link that the specification promises is missing.
    """

    name: str
    source_L: IntArray
    destination_L: IntArray
    bandwidth_bytes_per_s_L: FloatArray
    latency_s_L: FloatArray
    energy_j_per_byte_L: FloatArray
    kind_L: IntArray
    num_dies: int
    num_nodes: int
    is_live_D: BoolArray
    row_D: IntArray
    col_D: IntArray
    domain_D: IntArray
    num_domains: int
    lattice_shape: tuple[int, int, int]
    wraps: tuple[bool, bool, bool]
    lattice_D3: IntArray
    port_link_DP: IntArray
    has_faults: bool

    @property
    def num_links(self) -> int:
        """Directed links."""
        return int(self.source_L.size)

    @property
    def has_lattice(self) -> bool:
        """Whether dies are joined to neighbours, rather than only through switches."""
        return self.lattice_shape != (1, 1, 1)

    def die_name(self, die: int) -> str:
        """Return how messages name a die: `(row, col)` of the grid."""
        return f"die {die} at ({int(self.row_D[die])}, {int(self.col_D[die])})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Links:
    """Links before sorting; `port` is the port of the die end, `die` that die."""

    source: IntArray
    destination: IntArray
    die: IntArray
    port: IntArray
    spec: LinkSpec
    kind: LinkKind
    share: float = 1.0


def build_topology(system: SystemSpec) -> Topology:
    """Turn the interconnect of a system, less its defects, into nodes and links.

    Args:
        system: Any interconnect kind.

    Returns:
        The links that live. Parts that defects cut off stay in it: see `largest_component`.

    Raises:
        SpecError: A defect lies outside the grid or is no link, or every die is dead.

    Example:
        >>> from waferloom.hardware import system
        >>> topology = build_topology(system("temp-6x8"))
        >>> topology.num_dies, topology.num_links
        (48, 164)
    """
    rows, cols = system.grid_shape
    net = system.interconnect
    is_live = _live_dies(system)
    match net:
        case MeshSpec():
            lattice, num_domains, wraps = (1, rows, cols), 1, (False, False, False)
            links = _lattice_links(lattice, wraps, 1, net.link, LinkKind.D2D)
        case WaferGridSpec():
            lattice, wraps = (1, rows, cols), (False, False, False)
            num_domains = net.wafer_rows * net.wafer_cols
            links = _wafer_grid_links(net)
        case TorusSpec():
            depth = net.shape[2] if len(net.shape) == 3 else 1
            lattice, num_domains = (depth, net.shape[0], net.shape[1]), net.num_slices
            wraps = (lattice[0] > 2, lattice[1] > 2, lattice[2] > 2)
            links = _lattice_links(lattice, wraps, num_domains, net.link, LinkKind.TORUS)
            if net.slice_link is not None and num_domains > 1:
                fabric = rows * cols
                links += _fabric_links(is_live.size, fabric, net.slice_link, LinkKind.SLICE)
        case SwitchedSpec():
            lattice, num_domains, wraps = (1, 1, 1), net.num_nodes, (False, False, False)
            links = _switched_links(net)
    num_nodes = is_live.size + _num_switches(system)
    return _assemble(system, is_live, links, lattice, wraps, num_domains, num_nodes)


def _num_switches(system: SystemSpec) -> int:
    match system.interconnect:
        case SwitchedSpec() as net:
            return (net.num_nodes if net.devices_per_node > 1 else 0) + (net.num_nodes > 1)
        case TorusSpec() as net:
            return int(net.num_slices > 1)
        case MeshSpec() | WaferGridSpec():
            return 0


def _live_dies(system: SystemSpec) -> BoolArray:
    rows, cols = system.grid_shape
    is_live = np.ones(rows * cols, dtype=np.bool_)
    for row, col in system.defects.dead_dies:
        is_live[_die(system, row, col)] = False
    if not is_live.any():
        msg = f"{system.name}: all {rows * cols} dies are dead; leave at least one die alive"
        raise SpecError(msg)
    return is_live


def _die(system: SystemSpec, row: int, col: int) -> int:
    rows, cols = system.grid_shape
    if not (0 <= row < rows and 0 <= col < cols):
        msg = (
            f"defects name die ({row}, {col}), but {system.name} has rows 0..{rows - 1} and "
            f"columns 0..{cols - 1}"
        )
        raise SpecError(msg)
    return row * cols + col


def _lattice_links(
    lattice: tuple[int, int, int],
    wraps: tuple[bool, bool, bool],
    num_slices: int,
    spec: LinkSpec,
    kind: LinkKind,
) -> list[_Links]:
    """Return the links of `num_slices` equal lattices, numbered one after another."""
    depth, rows, cols = lattice
    dies = np.arange(num_slices * depth * rows * cols).reshape(num_slices, depth, rows, cols)
    result: list[_Links] = []
    for dim, port in ((3, Port.EAST), (2, Port.SOUTH), (1, Port.FAR)):
        size = dies.shape[dim]
        if size == 1:
            continue
        here = dies if wraps[dim - 1] else np.take(dies, np.arange(size - 1), axis=dim)
        there = np.take(dies, (np.arange(here.shape[dim]) + 1) % size, axis=dim)
        for source, destination, leaves in ((here, there, port), (there, here, port + 1)):
            flat = source.ravel()
            result.append(
                _Links(
                    source=flat,
                    destination=destination.ravel(),
                    die=flat,
                    port=np.full(flat.size, leaves),
                    spec=spec,
                    kind=kind,
                )
            )
    return result


def _wafer_grid_links(net: WaferGridSpec) -> list[_Links]:
    """Return the mesh over all wafers; links that cross a seam are wafer links."""
    rows, cols = net.wafer_rows * net.rows, net.wafer_cols * net.cols
    mesh = _lattice_links((1, rows, cols), (False, False, False), 1, net.link, LinkKind.D2D)
    result: list[_Links] = []
    for links in mesh:
        crosses = _wafer_of(net, links.source) != _wafer_of(net, links.destination)
        for chosen, spec, kind in (
            (~crosses, net.link, LinkKind.D2D),
            (crosses, net.wafer_link, LinkKind.WAFER),
        ):
            result.append(
                _Links(
                    source=links.source[chosen],
                    destination=links.destination[chosen],
                    die=links.die[chosen],
                    port=links.port[chosen],
                    spec=spec,
                    kind=kind,
                )
            )
    return result


def _wafer_of(net: WaferGridSpec, die: IntArray) -> IntArray:
    row, col = np.divmod(die, net.wafer_cols * net.cols)
    return (row // net.rows) * net.wafer_cols + col // net.cols


def _switched_links(net: SwitchedSpec) -> list[_Links]:
    num_dies = net.num_nodes * net.devices_per_node
    dies = np.arange(num_dies)
    result: list[_Links] = []
    fabric = num_dies
    if net.devices_per_node > 1:
        switch = num_dies + dies // net.devices_per_node
        result += _port_pair(dies, switch, net.link, LinkKind.SCALE_UP, Port.NODE_UP)
        fabric += net.num_nodes
    if net.num_nodes > 1 and net.scale_out_link is not None:
        result += _fabric_links(num_dies, fabric, net.scale_out_link, LinkKind.SCALE_OUT)
    return result


def _fabric_links(num_dies: int, fabric: int, spec: LinkSpec, kind: LinkKind) -> list[_Links]:
    dies = np.arange(num_dies)
    return _port_pair(dies, np.full(num_dies, fabric), spec, kind, Port.FABRIC_UP)


def _port_pair(
    dies: IntArray, switch: IntArray, spec: LinkSpec, kind: LinkKind, up: Port
) -> list[_Links]:
    """Return one link up to the switch and one down, each with half of latency and energy."""
    return [
        _Links(
            source=source,
            destination=destination,
            die=dies,
            port=np.full(dies.size, port),
            spec=spec,
            kind=kind,
            share=0.5,
        )
        for source, destination, port in ((dies, switch, up), (switch, dies, up + 1))
    ]


def _domains(system: SystemSpec) -> IntArray:
    rows, cols = system.grid_shape
    dies = np.arange(rows * cols)
    match system.interconnect:
        case WaferGridSpec() as net:
            return _wafer_of(net, dies)
        case SwitchedSpec() as net:
            return dies // net.devices_per_node
        case TorusSpec() as net:
            return dies // (dies.size // net.num_slices)
        case MeshSpec():
            return np.zeros(dies.size, dtype=np.int64)


def _assemble(
    system: SystemSpec,
    is_live: BoolArray,
    links: list[_Links],
    lattice: tuple[int, int, int],
    wraps: tuple[bool, bool, bool],
    num_domains: int,
    num_nodes: int,
) -> Topology:
    """Drop what is dead, sort, and index the rest by die and port."""
    num_dies = is_live.size

    def column(values: list[NDArray[np.int64]]) -> IntArray:
        return np.concatenate([*values, np.empty(0, dtype=np.int64)]).astype(np.int64)

    def numbers(values: list[float]) -> FloatArray:
        repeats = [group.source.size for group in links]
        return np.repeat(np.array(values, dtype=np.float64), repeats)

    source = column([group.source for group in links])
    destination = column([group.destination for group in links])
    die = column([group.die for group in links])
    port = column([group.port for group in links])
    node_is_live = np.concatenate([is_live, np.ones(num_nodes - num_dies, dtype=np.bool_)])
    lives = node_is_live[source] & node_is_live[destination]
    lives &= ~_is_dead_link(system, source, destination)
    order = np.lexsort((port, destination, source))
    order = order[lives[order]]
    port_link = np.full((num_dies, len(Port)), NO_LINK, dtype=np.int64)
    port_link[die[order], port[order]] = np.arange(order.size)
    is_lattice_port = port < NUM_LATTICE_PORTS
    dies = np.arange(num_dies)
    rows_cols = system.grid_shape[1]
    return Topology(
        name=system.name,
        source_L=source[order],
        destination_L=destination[order],
        bandwidth_bytes_per_s_L=numbers([g.spec.bandwidth_bytes_per_s for g in links])[order],
        latency_s_L=numbers([g.spec.latency_s * g.share for g in links])[order],
        energy_j_per_byte_L=numbers([g.spec.energy_j_per_byte * g.share for g in links])[order],
        kind_L=np.repeat(
            np.array([g.kind for g in links], dtype=np.int64), [g.source.size for g in links]
        )[order],
        num_dies=num_dies,
        num_nodes=num_nodes,
        is_live_D=is_live,
        row_D=dies // rows_cols,
        col_D=dies % rows_cols,
        domain_D=_domains(system),
        num_domains=num_domains,
        lattice_shape=lattice,
        wraps=wraps,
        lattice_D3=np.stack(np.unravel_index(dies % int(np.prod(lattice)), lattice), axis=1).astype(
            np.int64
        ),
        port_link_DP=port_link,
        has_faults=bool((is_lattice_port & ~lives).any()),
    )


def _is_dead_link(system: SystemSpec, source: IntArray, destination: IntArray) -> BoolArray:
    dead = np.zeros(source.size, dtype=np.bool_)
    for (row_a, col_a), (row_b, col_b) in system.defects.dead_links:
        a, b = _die(system, row_a, col_a), _die(system, row_b, col_b)
        hit = ((source == a) & (destination == b)) | ((source == b) & (destination == a))
        if not hit.any():
            msg = (
                f"defects name a link between ({row_a}, {col_a}) and ({row_b}, {col_b}), but "
                f"{system.name} joins no such neighbours"
            )
            raise SpecError(msg)
        dead |= hit
    return dead


def components(topology: Topology) -> tuple[IntArray, ...]:
    """Return the live dies of every connected part, the largest part first, ties by lowest die.

    Links come in pairs, one per direction, so a part that is connected is strongly connected.
    """
    part_N = np.arange(topology.num_nodes)
    while True:
        lower_N = part_N.copy()
        np.minimum.at(lower_N, topology.destination_L, part_N[topology.source_L])
        lower_N = lower_N[lower_N]  # pointer jumping: a long chain needs few rounds
        if np.array_equal(lower_N, part_N):
            break
        part_N = lower_N
    live = np.flatnonzero(topology.is_live_D)
    parts = [live[part_N[live] == part] for part in np.unique(part_N[live])]
    return tuple(sorted(parts, key=lambda dies: (-dies.size, int(dies[0]))))


def largest_component(topology: Topology) -> IntArray:
    """Return the live dies, ascending, of the largest connected part.

    Example:
        >>> from waferloom.hardware import system
        >>> largest_component(build_topology(system("temp-6x8"))).size
        48
    """
    return components(topology)[0]
