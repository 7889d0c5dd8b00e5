"""Two-dimensional: along the rows and then along the columns of a block, and the other way round.

Half of the data goes rows first, the other half columns first, so that both kinds of links are busy
all the time. A block of a x b dies pays about 2 (a + b) latencies instead of the 2 a b of a ring.

Source:
    For the torus: Jain and Sabharwal 2010, doi:10.1145/1810085.1810093.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network.collectives.base import REDUCING_KINDS, CollectiveProfile, Exchange
from waferloom.network.collectives.two_level import (
    Level,
    Split,
    level,
    profile_two_level,
    traffic_two_level,
)
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoDimensional:
    """All-reduce, reduce-scatter and all-gather of groups that fill rows and columns."""

    name: str = "two_dimensional"
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile | None:
        """Return the cost in closed form; None where a group is no product of rows and columns."""
        splits = _by_rows_and_columns(exchange)
        return None if splits is None else profile_two_level(exchange, self.name, splits)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic | None:
        """Return the flows; None where a group is no product of rows and columns."""
        splits = _by_rows_and_columns(exchange)
        return None if splits is None else traffic_two_level(exchange, splits, size_bytes)


def _by_rows_and_columns(exchange: Exchange) -> list[Split] | None:
    topology, groups_GN = exchange.topology, exchange.groups_GN
    if not topology.has_lattice or groups_GN.min() < 0:
        return None
    num_groups, size = groups_GN.shape
    sorted_GN = np.sort(groups_GN, axis=1)
    num_rows = 1 + int((np.diff(topology.row_D[sorted_GN[0]]) != 0).sum())
    if num_rows in (1, size) or size % num_rows:
        return None
    dies_GAB = sorted_GN.reshape(num_groups, num_rows, -1)
    row_GAB, col_GAB = topology.row_D[dies_GAB], topology.col_D[dies_GAB]
    if (row_GAB != row_GAB[:, :, :1]).any() or (col_GAB != col_GAB[:, :1, :]).any():
        return None
    along_rows = _straight(exchange, dies_GAB.reshape(-1, size // num_rows))
    along_columns = _straight(exchange, dies_GAB.transpose(0, 2, 1).reshape(-1, num_rows))
    return [
        Split(inner=along_rows, outer=along_columns, share=0.5),
        Split(inner=along_columns, outer=along_rows, share=0.5),
    ]


def _straight(exchange: Exchange, dies_XN: IntArray) -> Level:
    """Return rows or columns of a healthy mesh as they are, others in the order that suits them."""
    topology = exchange.topology
    if topology.has_faults or any(topology.wraps):
        return level(exchange, dies_XN)
    return Level(dies_XN=np.ascontiguousarray(dies_XN), is_ring=False)


TWO_DIMENSIONAL: Final = TwoDimensional()
