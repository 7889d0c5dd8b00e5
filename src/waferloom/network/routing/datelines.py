"""Datelines: the second virtual channel that keeps the rings of a torus from waiting on themselves.

A route that stays in one dimension changes from channel 0 to channel 1 when it crosses the link
that closes the ring, so that no circle of waiting packets can go all the way round.

Source:
    Dally and Seitz 1987, doi:10.1109/TC.1987.1676939.
"""

import numpy as np

from waferloom.network.routing.base import Routes
from waferloom.network.topology import NUM_LATTICE_PORTS, IntArray, Topology


def dateline_channels(topology: Topology, routes: Routes) -> IntArray:
    """Return 1 for hops that follow a wrap link within their dimension, 0 for all others."""
    num_hops = routes.link_H.size
    if not any(topology.wraps) or num_hops == 0:
        return np.zeros(num_hops, dtype=np.int64)
    dim_L, wraps_L = link_dimensions(topology)
    dim_H, wraps_H = dim_L[routes.link_H], wraps_L[routes.link_H]
    starts = routes.first_F1[:-1]
    begins_H = np.zeros(num_hops, dtype=np.bool_)
    begins_H[starts[starts < routes.first_F1[1:]]] = True
    begins_H |= dim_H != np.roll(dim_H, 1)
    # Wraps crossed since the last turn; the wrap link itself still belongs to channel 0.
    crossed_H = np.cumsum(wraps_H) - wraps_H
    turn_H = np.maximum.accumulate(np.where(begins_H, np.arange(num_hops), 0))
    return (crossed_H > crossed_H[turn_H]).astype(np.int64)


def link_dimensions(topology: Topology) -> tuple[IntArray, IntArray]:
    """Return each link's lattice dimension (switch ports share one more), and 1 where it wraps."""
    dim_L = np.full(topology.num_links, NUM_LATTICE_PORTS, dtype=np.int64)
    wraps_L = np.zeros(topology.num_links, dtype=np.int64)
    for port in range(NUM_LATTICE_PORTS):
        link_D = topology.port_link_DP[:, port]
        links = link_D[link_D >= 0]
        dim = 2 - port // 2
        dim_L[links] = dim
        here = topology.lattice_D3[topology.source_L[links], dim]
        there = topology.lattice_D3[topology.destination_L[links], dim]
        wraps_L[links] = (np.abs(there - here) > 1) & topology.wraps[dim]
    return dim_L, wraps_L
