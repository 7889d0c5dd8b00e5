"""An all-gather that knows the mesh is as fast as the ports of a corner die allow."""

import numpy as np
import pytest
from network_systems import mesh

from waferloom.communication import CollectiveKind
from waferloom.hardware.spec import LinkSpec
from waferloom.network.profile import algorithms_for, collective_traffic
from waferloom.network.simulators import SIMULATORS
from waferloom.network.topology import build_topology

SIDE = 8
EVERYONE = np.arange(SIDE * SIDE)[None, :]
SUITABLE = [  # one mesh has no nodes to be hierarchical about
    name for name in algorithms_for(CollectiveKind.ALL_GATHER) if name != "hierarchical"
]
LINKS = {
    "1 TB/s, 100 ns": LinkSpec(
        bandwidth_bytes_per_s=1e12, latency_s=100e-9, energy_j_per_byte=4e-11
    ),
    "100 GB/s, 500 ns": LinkSpec(
        bandwidth_bytes_per_s=1e11, latency_s=500e-9, energy_j_per_byte=4e-11
    ),
}


def injection_s(size_bytes: float, link: LinkSpec) -> float:
    """Time in which the two links of a corner die bring it what all the others hold."""
    return size_bytes * (1 - 1 / EVERYONE.size) / (2 * link.bandwidth_bytes_per_s)


def duration_s(model: str, link: LinkSpec, size_bytes: float, algorithm: str, **options) -> float:
    topology = build_topology(mesh(SIDE, SIDE, link=link))
    traffic = collective_traffic(
        topology, EVERYONE, CollectiveKind.ALL_GATHER, size_bytes, algorithm=algorithm, **options
    )
    return SIMULATORS[model].run(topology, traffic).duration_s


@pytest.mark.parametrize("model", ["bound", "queue", "fluid"])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("size_bytes", [64e6, 1e9])
def test_the_best_all_gather_is_within_five_percent_of_the_injection_bound(
    model: str, link: LinkSpec, size_bytes: float
):
    least = injection_s(size_bytes, link)
    assert least <= duration_s(model, link, size_bytes, "best") <= 1.05 * least


@pytest.mark.parametrize("model", ["queue", "fluid"])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("size_bytes", [64e3, 1e6, 16e6])
def test_two_dimensional_takes_the_injection_bound_and_one_latency_per_hop_of_the_diameter(
    model: str, link: LinkSpec, size_bytes: float
):
    # Corner to corner is 2 (8 - 1) hops, so neither term can be saved.
    expected = injection_s(size_bytes, link) + 2 * (SIDE - 1) * link.latency_s
    found = duration_s(model, link, size_bytes, "two_dimensional")
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_logical_ring_is_two_to_four_times_off(link: LinkSpec):
    for size_bytes in (16e6, 64e6):
        least = injection_s(size_bytes, link)
        found = duration_s("fluid", link, size_bytes, "one_way_ring", reorder=False)
        assert 2.0 * least < found < 4.0 * least


@pytest.mark.parametrize("model", ["bound", "queue", "fluid"])
@pytest.mark.parametrize("algorithm", SUITABLE)
def test_no_all_gather_beats_the_injection_bound(model: str, algorithm: str):
    link = LINKS["1 TB/s, 100 ns"]
    assert duration_s(model, link, 1e9, algorithm) >= injection_s(1e9, link)
