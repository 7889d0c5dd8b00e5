"""Minimal adaptive routing under a turn model: west-first and odd-even.

A packet may take any shortest way that makes no forbidden turn; the turns left cannot close a
circle, so that one virtual channel suffices on a mesh.

- West-first forbids all turns to the west: packets that must go west do so before anything else,
  all others choose freely between their row and their column at every die.
- Odd-even forbids turns from east to north or south in even columns, and from north or south to
  west in odd columns. The choice left is more even over the mesh. (The exemption for packets that
  start in an even column is not used: a next-link table does not know where they came from.)

Where two ways are open a fixed rule chooses, since routes are known before anything is sent: the
link with less load if loads are given, then the dimension with more hops to go, then the row.

Limits:
    On tori the shorter way round is walked under the same turns and with datelines, which is not
    enough there: `assign_channels` finds the virtual channels it takes. The third dimension comes
    last. Pairs cut off by faults are repaired as in `dimension_order`.

Source:
    Glass and Ni 1992, doi:10.1109/ISCA.1992.753324 (west-first);
    Chiu 2000, doi:10.1109/71.877831 (odd-even).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from waferloom.network.routing._route_kernel import (
    ODD_EVEN,
    WEST_FIRST,
    Network,
    fill_minimal_adaptive,
)
from waferloom.network.routing.base import Routes
from waferloom.network.routing.datelines import dateline_channels
from waferloom.network.routing.tables import (
    CACHED_TOPOLOGIES,
    empty_table,
    network_of_table,
    repair,
    walk,
)
from waferloom.network.topology import FloatArray, IntArray, Topology

COLUMN_ROW_DEPTH: Final = (2, 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TurnModelRouting:
    """Shortest ways without forbidden turns.

    Attributes:
        name: Key in `ROUTING`.
        rule: `WEST_FIRST` or `ODD_EVEN`.
        load_L: Load of every link in any unit, such as bytes already planned, or None.
    """

    name: str
    rule: int
    load_L: FloatArray | None = None

    def network(self, topology: Topology) -> Network:
        """Return the next-link table (built once per topology) and the topology's arrays.

        Raises:
            ValueError: `load_L` is for another topology.
        """
        return _network(topology, self)

    def routes(self, topology: Topology, source_F: IntArray, destination_F: IntArray) -> Routes:
        """Return the route of every pair of dies.

        Raises:
            RoutingError: A pair is not connected.
            ValueError: `load_L` is for another topology.
        """
        return walk(topology, self.network(topology), source_F, destination_F)

    def channels(
        self, topology: Topology, source_F: IntArray, destination_F: IntArray, routes: Routes
    ) -> IntArray:
        """Return 1 behind the wrap of a torus dimension, 0 elsewhere."""
        return dateline_channels(topology, routes)


@lru_cache(maxsize=CACHED_TOPOLOGIES)
def _network(topology: Topology, policy: TurnModelRouting) -> Network:
    load_L = np.empty(0) if policy.load_L is None else np.asarray(policy.load_L, dtype=np.float64)
    if policy.load_L is not None and load_L.shape != (topology.num_links,):
        msg = (
            f"{policy.name}: {load_L.size} link loads given, but {topology.name} has "
            f"{topology.num_links} links; give one load per link"
        )
        raise ValueError(msg)
    next_link_ND = empty_table(topology)
    if next_link_ND.size:
        fill_minimal_adaptive(
            topology.lattice_D3,
            topology.domain_D,
            topology.is_live_D,
            topology.port_link_DP,
            np.array(topology.lattice_shape, dtype=np.int64),
            np.array(topology.wraps, dtype=np.bool_),
            topology.num_nodes == topology.num_dies,
            policy.rule,
            load_L,
            next_link_ND,
        )
    repair(topology, next_link_ND, COLUMN_ROW_DEPTH)
    return network_of_table(topology, next_link_ND)


WEST_FIRST_ROUTING: Final = TurnModelRouting(name="west_first", rule=WEST_FIRST)
ODD_EVEN_ROUTING: Final = TurnModelRouting(name="odd_even", rule=ODD_EVEN)
