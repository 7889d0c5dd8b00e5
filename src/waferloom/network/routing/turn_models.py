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
