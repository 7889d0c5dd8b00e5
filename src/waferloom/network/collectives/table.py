"""The table of collective algorithms, in the order in which ties between them are broken."""

from collections.abc import Mapping
from typing import Final

from waferloom.network.collectives.base import Collective
from waferloom.network.collectives.chain import CHAIN
from waferloom.network.collectives.direct import DIRECT
from waferloom.network.collectives.double_binary_tree import DOUBLE_BINARY_TREE
from waferloom.network.collectives.halving_doubling import HALVING_DOUBLING
from waferloom.network.collectives.hierarchical import HIERARCHICAL
from waferloom.network.collectives.line import LINE
from waferloom.network.collectives.multicast_tree import MULTICAST_TREE
from waferloom.network.collectives.relay import RELAY
from waferloom.network.collectives.ring import ONE_WAY_RING, RING
from waferloom.network.collectives.two_dimensional import TWO_DIMENSIONAL

COLLECTIVES: Final[Mapping[str, Collective]] = {
    collective.name: collective
    for collective in (
        RING,
        ONE_WAY_RING,
        LINE,
        TWO_DIMENSIONAL,
        DIRECT,
        HIERARCHICAL,
        HALVING_DOUBLING,
        DOUBLE_BINARY_TREE,
        MULTICAST_TREE,
        CHAIN,
        RELAY,
    )
}
