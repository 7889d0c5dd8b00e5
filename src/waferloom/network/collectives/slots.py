"""Which slots of a vector belong to which member: the bookkeeping that generators share."""

import math
from dataclasses import dataclass

import numpy as np

from waferloom.network.collectives.base import Exchange
from waferloom.network.topology import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """Slots of each of n owners, as K runs of consecutive slots.

    Attributes:
        first: First slot of each run; axes: owner, run.
        count: Slots of each run.
    """

    first: IntArray
    count: IntArray

    def part(self, index: int, num_parts: int) -> "Shards":
        """Return one of `num_parts` equal parts of every run."""
        width = self.count // num_parts
        return Shards(self.first + index * width, width)

    def reversed(self) -> "Shards":
        """Return the owners in opposite order."""
        return Shards(self.first[::-1], self.count[::-1])

    def taken(self, owners: IntArray) -> "Shards":
        """Return the shards of some owners, in the order asked."""
        return Shards(self.first[owners], self.count[owners])

    def fused(self, owners_XK: IntArray) -> "Shards":
        """Return shards of new owners X, each the union of K old owners' runs."""
        num_new = owners_XK.shape[0]
        return Shards(
            self.first[owners_XK].reshape(num_new, -1), self.count[owners_XK].reshape(num_new, -1)
        )


def slots_per_vector(exchange: Exchange, pieces: int) -> int:
    """Return a number of slots that every group can cut into its members' parts and `pieces`."""
    sizes = (exchange.groups_GN >= 0).sum(axis=1)
    return pieces * math.lcm(*(int(size) for size in np.unique(sizes[sizes > 0])))


def shards_of(members: IntArray, order: IntArray, num_slots: int) -> Shards:
    """Return the equal parts of a vector that the dies of `order` own as members of their group."""
    width = num_slots // members.size
    position = {int(die): index for index, die in enumerate(members)}
    owner = np.array([position[int(die)] for die in order], dtype=np.int64)
    return Shards((owner * width)[:, None], np.full((owner.size, 1), width))
