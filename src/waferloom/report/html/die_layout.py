"""Where the dies of a system are drawn, and which links join neighbours there."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.hardware.spec import SwitchedSpec, SystemSpec, TorusSpec
from waferloom.network.topology import Topology

DIE: Final = 46.0
"""Side of a die."""
_PITCH: Final = 66.0
_DENSE_PITCH: Final = DIE + 6
"""Between devices that no drawn link joins."""
_PANEL_GAP: Final = 26.0
_MARGIN: Final = 16.0
_MAX_DRAWN_LINKS: Final = 3200

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DieLayout:
    """Where everything is drawn.

    Attributes:
        x_D: Left edge of every die.
        y_D: Top edge.
        panel_D: Box that a die is drawn in.
        width: Of the drawing.
        height: Of the drawing.
    """

    x_D: Floats
    y_D: Floats
    panel_D: Ints
    width: float
    height: float


def die_layout(system: SystemSpec, topology: Topology) -> DieLayout:
    """Place every die: on the grid where there is one, else in one box per node or plane."""
    rows, cols = system.grid_shape
    row_D, col_D = topology.row_D, topology.col_D
    match system.interconnect:
        case SwitchedSpec() as net:
            box_cols = _near_square(net.devices_per_node)
            panel_D = row_D
            local_row_D, local_col_D = np.divmod(col_D, box_cols)
            box_rows = -(-net.devices_per_node // box_cols)
            across = _near_square(net.num_nodes)
        case TorusSpec() as net:
            box_rows, box_cols = net.shape[0], cols
            panel_D = row_D // box_rows
            local_row_D, local_col_D = row_D % box_rows, col_D
            across = _near_square(rows // box_rows)
        case _:
            # wafers touch: a gap where the domain changes, no boxes to wrap
            gaps_R = np.cumsum(np.diff(topology.domain_D[::cols], prepend=0) != 0)
            gaps_C = np.cumsum(np.diff(topology.domain_D[:cols], prepend=0) != 0)
            return DieLayout(
                x_D=_MARGIN + col_D * _PITCH + gaps_C[col_D] * _PANEL_GAP,
                y_D=_MARGIN + row_D * _PITCH + gaps_R[row_D] * _PANEL_GAP,
                panel_D=topology.domain_D,
                width=2 * _MARGIN + cols * _PITCH + gaps_C[-1] * _PANEL_GAP - (_PITCH - DIE),
                height=2 * _MARGIN + rows * _PITCH + gaps_R[-1] * _PANEL_GAP - (_PITCH - DIE),
            )
    pitch = _DENSE_PITCH if isinstance(system.interconnect, SwitchedSpec) else _PITCH
    panel_width = box_cols * pitch + _PANEL_GAP
    panel_height = box_rows * pitch + _PANEL_GAP
    num_panels = int(panel_D.max()) + 1
    down = -(-num_panels // across)
    return DieLayout(
        x_D=_MARGIN + (panel_D % across) * panel_width + local_col_D * pitch,
        y_D=_MARGIN + (panel_D // across) * panel_height + local_row_D * pitch,
        panel_D=panel_D,
        width=2 * _MARGIN + across * panel_width - _PANEL_GAP - (pitch - DIE),
        height=2 * _MARGIN + down * panel_height - _PANEL_GAP - (pitch - DIE),
    )


def drawn_links(layout: DieLayout, topology: Topology) -> Ints:
    """Return the links between dies whose squares lie beside each other; none if too many."""
    source, destination = topology.source_L, topology.destination_L
    is_die_L = (source < topology.num_dies) & (destination < topology.num_dies)
    links = np.flatnonzero(is_die_L)
    dx = layout.x_D[destination[links]] - layout.x_D[source[links]]
    dy = layout.y_D[destination[links]] - layout.y_D[source[links]]
    near = _PITCH + _PANEL_GAP + 1
    is_straight = (np.abs(dx) < 1) | (np.abs(dy) < 1)
    is_near = (np.abs(dx) + np.abs(dy)) <= near
    drawn = links[is_straight & is_near]
    return drawn if drawn.size <= _MAX_DRAWN_LINKS else drawn[:0]


def _near_square(count: int) -> int:
    """Return the columns of a box for `count` things: a divisor near the root if one is wider."""
    root = math.ceil(math.sqrt(count))
    divisors = [c for c in range(root, 2 * root + 1) if count % c == 0]
    return divisors[0] if divisors else root
