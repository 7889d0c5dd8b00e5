"""Hierarchical: inside each node, wafer or slice, between them, and inside again.

Every member talks across with its equals only, so a group of q members per node uses all q ports of
the node and sends `size / q` through each.
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
from waferloom.network.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchical:
    """All-reduce, reduce-scatter and all-gather of groups that span several domains."""

    name: str = "hierarchical"
    kinds: frozenset[CollectiveKind] = REDUCING_KINDS

    def at_least_s(self, exchange: Exchange) -> float:
        """Return 0: the profile itself is cheap."""
        return 0.0

    def profile(self, exchange: Exchange) -> CollectiveProfile | None:
        """Return the cost in closed form; None where a group has no equal parts in domains."""
        split = _by_domain(exchange)
        return None if split is None else profile_two_level(exchange, self.name, [split])

    def traffic(self, exchange: Exchange, size_bytes: float) -> Traffic | None:
        """Return the flows; None where a group has no equal parts in several domains."""
        split = _by_domain(exchange)
        return None if split is None else traffic_two_level(exchange, [split], size_bytes)


def _by_domain(exchange: Exchange) -> Split | None:
    topology, groups_GN = exchange.topology, exchange.groups_GN
    if topology.num_domains == 1 or groups_GN.min() < 0:
        return None
    num_groups, size = groups_GN.shape
    sorted_GN = np.sort(groups_GN, axis=1)
    by_domain = np.argsort(topology.domain_D[sorted_GN], axis=1, kind="stable")
    sorted_GN = np.take_along_axis(sorted_GN, by_domain, axis=1)
    domain_GN = topology.domain_D[sorted_GN]
    num_parts = 1 + int((np.diff(domain_GN[0]) != 0).sum())
    if num_parts in (1, size) or size % num_parts:
        return None
    domain_GPN = domain_GN.reshape(num_groups, num_parts, -1)
    if (domain_GPN != domain_GPN[:, :, :1]).any() or (np.diff(domain_GPN[:, :, 0]) == 0).any():
        return None
    dies_GPN = sorted_GN.reshape(num_groups, num_parts, -1)
    outer_XN = dies_GPN.transpose(0, 2, 1).reshape(-1, num_parts)
    return Split(
        inner=level(exchange, dies_GPN.reshape(-1, size // num_parts)),
        outer=Level(dies_XN=np.ascontiguousarray(outer_XN), is_ring=True),
        share=1.0,
    )


HIERARCHICAL: Final = Hierarchical()
