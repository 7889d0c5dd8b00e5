"""Double binary tree: each half of the vector goes up one tree, summed, and down again, in pieces.

The two trees are arranged so that a die is an inner node of one and a leaf of the other, hence no
die sends or receives more than the vector in each direction.

Source:
    Sanders, Speck and Traeff 2009, doi:10.1016/j.parco.2009.09.001.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.network.collectives.base import (
    CollectiveProfile,
    Exchange,
    profile_of_traffic,
)
from waferloom.network.collectives.line import PIPELINE_CHUNKS
from waferloom.network.collectives.slots import slots_per_vector
from waferloom.network.topology import IntArray
from waferloom.network.traffic import Action, Traffic, TrafficBuilder, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleBinaryTree:
    """All-reduce over one or two trees.

    Attributes:
        name: Key in `COLLECTIVES`.
        num_trees: 2, or 1 for a plain binary tree.
        num_chunks: Pieces of each tree's share.
        kinds: What it performs.
    """

    name: str = "double_binary_tree"
    num_trees: int = 2
    num_chunks: int = PIPELINE_CHUNKS
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile:
        """Return the cost, from the flows."""
        size_bytes = exchange.reference_bytes
        traffic = self.traffic(exchange, size_bytes)
        return profile_of_traffic(exchange, self.name, traffic, size_bytes)

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic:
        """Return the flows."""
        builder = exchange.builder()
        num_slots = slots_per_vector(exchange, pieces=self.num_trees * self.num_chunks)
        for group in range(exchange.num_groups):
            dies = exchange.orders.line_GN[group]
            dies = dies[dies >= 0]
            for tree in range(self.num_trees):
                # A tree over the mirrored (or, for odd numbers, rotated) order: leaves of the first
                # tree are the odd positions, and now become inner nodes.
                order = dies
                if tree == 1:
                    order = dies[::-1] if dies.size % 2 == 0 else np.roll(dies, -1)
                self._add_tree(builder, order, tree, num_slots, size_bytes)
        return builder.build(num_slots)

    def _add_tree(
        self,
        builder: TrafficBuilder,
        dies: IntArray,
        tree: int,
        num_slots: int,
        size_bytes: float,
    ) -> None:
        pieces = self.num_trees * self.num_chunks
        width = num_slots // pieces
        first_C = (tree * self.num_chunks + np.arange(self.num_chunks)) * width
        parent = parents(dies.size)
        children = [np.flatnonzero(parent == position) for position in range(dies.size)]
        children[0] = children[0][children[0] > 0]
        none_C = np.full((self.num_chunks, 1), -1)
        came_up: dict[int, IntArray] = {}
        for child in bottom_up(parent):
            waits = [came_up[int(below)][:, None] for below in children[child]]
            came_up[child] = builder.add(
                np.full(self.num_chunks, dies[child]),
                dies[parent[child]],
                size_bytes / pieces,
                depends=np.concatenate([none_C, *waits], axis=1),
                previous=in_order(builder.num_flows, self.num_chunks),
                read=first_C,
                count=width,
                action=Action.REDUCE,
                phase="reduce",
            )
        at_root = [came_up[int(below)][:, None] for below in children[0]]
        came_down = {0: np.concatenate([none_C, *at_root], axis=1)}
        for child in reversed(bottom_up(parent)):
            came_down[child] = builder.add(
                np.full(self.num_chunks, dies[parent[child]]),
                dies[child],
                size_bytes / pieces,
                depends=came_down[int(parent[child])],
                previous=in_order(builder.num_flows, self.num_chunks),
                read=first_C,
                count=width,
                phase="gather",
            )[:, None]


def parents(n: int) -> IntArray:
    """Return each position's parent in the in-order binary tree; position 0 is the root.

    Example:
        >>> parents(8).tolist()
        [0, 2, 4, 2, 0, 6, 4, 6]
    """
    position = np.arange(n)
    bit = np.maximum(position & -position, 1)
    above = (position ^ bit) | (bit << 1)
    parent = np.where(above >= n, position ^ bit, above)
    parent[0] = 0
    return parent


def bottom_up(parent: IntArray) -> list[int]:
    """Return all positions but the root, children before parents."""
    depth = np.zeros(parent.size, dtype=np.int64)
    at = parent.copy()
    while at.any():
        depth += at != 0
        at = parent[at]
    return sorted(range(1, parent.size), key=lambda position: (-int(depth[position]), position))


DOUBLE_BINARY_TREE: Final = DoubleBinaryTree()
