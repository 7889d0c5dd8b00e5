"""Where the ranks of a plan run, and what its collectives cost there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from waferloom.communication import CollectiveKind, ParallelAxis
from waferloom.hardware.spec import SystemSpec
from waferloom.mapping.placements import PLACEMENTS, DieGrid, Dies
from waferloom.network.profile import CollectiveProfile, profile_collective
from waferloom.network.topology import Topology, build_topology, largest_component
from waferloom.parallel.strategy import ParallelDegrees

REFERENCE_BYTES: Final = 64e6
"""Size at which the fastest algorithm of a collective is chosen, once per group shape."""

Groups = NDArray[np.int64]
Axes = tuple[ParallelAxis, ...]

TP: Final = (ParallelAxis.TP,)
CP: Final = (ParallelAxis.CP,)
DP: Final = (ParallelAxis.DP, ParallelAxis.CP)
PP: Final = (ParallelAxis.PP,)
EP: Final = (ParallelAxis.EP,)
EXPERT_TP: Final = (ParallelAxis.EXPERT_TP,)
EXPERT_DP: Final = (ParallelAxis.EXPERT_DP,)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Dies of all ranks.

    Attributes:
        degrees: Sizes of the axes.
        die_R: Axis: rank, tp fastest, then cp, dp, pp.
    """

    degrees: ParallelDegrees
    die_R: Dies

    def groups(self, axes: Axes) -> Groups:
        """Return the dies of every group along `axes`; axes of the result: group, member.

        The groups of the pipeline axis are pairs of neighbouring stages.
        """
        d = self.degrees
        if axes == PP:
            stages = self.die_R.reshape(d.pp, d.ranks_per_stage)
            return np.stack([stages[:-1].ravel(), stages[1:].ravel()], axis=1)
        if axes in (EP, EXPERT_TP, EXPERT_DP):
            ranks = self.die_R.reshape(d.pp, d.expert_dp, d.ep, d.expert_tp)
            cut = 1 if axes == EXPERT_DP else 2 if axes == EP else 3
            return np.moveaxis(ranks, cut, -1).reshape(-1, ranks.shape[cut])
        if axes == DP:
            ranks = self.die_R.reshape(d.pp, d.dp * d.cp, d.tp)
            return np.moveaxis(ranks, 1, -1).reshape(-1, d.dp * d.cp)
        ranks = self.die_R.reshape(d.pp, d.dp, d.cp, d.tp)
        cut = 2 if axes == CP else 3
        return np.moveaxis(ranks, cut, -1).reshape(-1, ranks.shape[cut])


def die_grid(system: SystemSpec, topology: Topology) -> DieGrid:
    """Return the grid that placements work on: dies that are live and connected to most others."""
    is_usable_D = np.zeros(topology.num_dies, dtype=np.bool_)
    is_usable_D[largest_component(topology)] = True
    return DieGrid(is_usable_D.reshape(system.grid_shape))


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The links of a system, with every placement and collective worked out at most once.

    Attributes:
        system: The system.
        topology: Its links.
        grid: Its usable dies.
    """

    system: SystemSpec
    topology: Topology
    grid: DieGrid
    _orders: dict[tuple[str, int], Dies] = field(default_factory=dict[tuple[str, int], Dies])
    _profiles: dict[tuple[CollectiveKind, tuple[int, ...], bytes], CollectiveProfile] = field(
        default_factory=dict[tuple[CollectiveKind, tuple[int, ...], bytes], CollectiveProfile]
    )

    @property
    def num_dies(self) -> int:
        """Dies that can be used."""
        return len(self.grid.live_dies)

    def layout(self, placement: str, degrees: ParallelDegrees) -> Layout:
        """Place the ranks of `degrees`; they must not outnumber the usable dies."""
        key = (placement, degrees.tp)
        if key not in self._orders:
            self._orders[key] = PLACEMENTS[placement].order(self.grid, degrees.tp)
        return Layout(degrees, self._orders[key][: degrees.num_ranks])

    def profile(self, kind: CollectiveKind, groups: Groups) -> CollectiveProfile:
        """Return what `kind` costs when all `groups` perform it at once."""
        key = (kind, groups.shape, groups.tobytes())
        if key not in self._profiles:
            self._profiles[key] = profile_collective(
                self.topology, groups, kind, reference_bytes=REFERENCE_BYTES
            )
        return self._profiles[key]


def network_of(system: SystemSpec) -> Network:
    """Build the links of a system."""
    topology = build_topology(system)
    return Network(system, topology, die_grid(system, topology))


def algorithms(profiles: Mapping[tuple[CollectiveKind, Axes], CollectiveProfile]) -> dict[str, str]:
    """Return the chosen algorithms by kind and axis, for a plan."""
    return {f"{kind} {axes[0]}": profile.algorithm for (kind, axes), profile in profiles.items()}
