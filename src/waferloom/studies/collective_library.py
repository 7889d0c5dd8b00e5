"""What libraries of collectives make of links: a law with at most four numbers per library.

The bytes that each port must carry come from the network package: `work_of` reads them off the
collective's profile. How long a library takes for them:

    duration_s = path_latency_s + start(work_s)
    work_s     = bytes of a port / (bandwidth * port_share * p / (p + idle_peers))

with p the devices that one device exchanges data with. Below its port's bandwidth a device stays
because each connection idles between the chunks of its window; others fill the gap, so that
the share grows with p. `start` is one of two:

- NCCL cuts the vector into chunks which travel in a pipeline. Many chunks cost overhead each, few
  leave the pipeline empty at its ends; with the best number of them

      start(w) = (sqrt(chunk_s) + sqrt(w))^2 = chunk_s + w + 2 sqrt(chunk_s w)

  which is why its bandwidth still grows at hundreds of MiB.
- Kernels that write tokens straight into the receiver's memory have `start(w) = chunk_s + w`.

Where a switch adds up (NVLink SHARP), an all-reduce among more than two devices sends the vector up
and down once, at `switch_share` of the bandwidth; the library takes it where that is faster. Across
nodes the stages inside and across run in one pipeline, so that the slower one counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from waferloom.communication import CollectiveKind
from waferloom.hardware import system
from waferloom.hardware.spec import SwitchedSpec
from waferloom.network.profile import profile_collective
from waferloom.network.topology import LinkKind, Topology, build_topology
from waferloom.studies.collective_rows import CollectiveRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What a library of collectives reaches; `scripts/fit_collectives.py` prints these records.

    Attributes:
        chunk_s: Overhead of a chunk, or of the whole where nothing is pipelined.
        port_share: Of a device's bandwidth inside a node, with many peers.
        idle_peers: Peers at which half of that share is reached.
        switch_share: Of the bandwidth while the switch adds up; None where it does not.
        is_pipelined: Whether the vector travels in chunks.
        token_s: Per token, where tokens are handled one by one.
        multiprocessor_bytes_per_s: What one multiprocessor copies, where kernels are given few.
        across_share: Of a device's port between nodes.
    """

    chunk_s: float
    port_share: float
    idle_peers: float = 0.0
    switch_share: float | None = None
    is_pipelined: bool = False
    token_s: float = 0.0
    multiprocessor_bytes_per_s: float | None = None
    across_share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a collective asks of the links, per byte of size.

    Attributes:
        path_latency_s: Sends that wait for each other.
        inside_s_per_byte: Of the ports inside a node, at full bandwidth.
        across_s_per_byte: Of the ports between nodes; 0 where all is inside.
        vector_s_per_byte: One vector through one port inside, for reductions in the switch.
        inside_bytes: Leaving a device inside the node, per byte of size.
        num_peers: Devices that one exchanges data with, inside.
    """

    path_latency_s: float
    inside_s_per_byte: float
    across_s_per_byte: float
    vector_s_per_byte: float
    inside_bytes: float
    num_peers: int


def duration_s(library: Library, work: Work, row: CollectiveRow) -> float:
    """Return how long the library takes for a row."""
    size = row.size_bytes
    peers = work.num_peers
    connected = peers / (peers + library.idle_peers) if peers else 1.0
    inside_s = size * work.inside_s_per_byte / (library.port_share * connected)
    if (
        library.switch_share is not None
        and row.kind is CollectiveKind.ALL_REDUCE
        and not row.rotates
        and peers > 1
    ):
        inside_s = min(inside_s, size * work.vector_s_per_byte / library.switch_share)
    if library.multiprocessor_bytes_per_s is not None and row.num_multiprocessors is not None:
        rate = library.multiprocessor_bytes_per_s * row.num_multiprocessors
        inside_s = max(inside_s, size * work.inside_bytes / rate)
    work_s = max(inside_s, size * work.across_s_per_byte / library.across_share)
    started_s = library.chunk_s + work_s + row.num_tokens * library.token_s
    if library.is_pipelined:
        started_s += 2.0 * math.sqrt(library.chunk_s * work_s)
    return work.path_latency_s + started_s


def work_of(row: CollectiveRow) -> Work:
    """Return what the collective of a row asks of the links of its preset."""
    return _work(row.preset, row.kind, row.num_devices, row.devices_per_node, row.rotates)


@cache
def _work(
    preset: str, kind: CollectiveKind, num_devices: int, devices_per_node: int, rotates: bool
) -> Work:
    spec = system(preset)
    net = spec.interconnect
    assert isinstance(net, SwitchedSpec), "the tables are of switched systems"
    if num_devices > devices_per_node and net.devices_per_node != devices_per_node:
        net = net.model_copy(update={"devices_per_node": devices_per_node})
        spec = spec.model_copy(update={"interconnect": net})
    topology = build_topology(spec)
    group = np.arange(num_devices)[None, :]
    if kind is CollectiveKind.ALL_TO_ALL:
        algorithm = "direct"
    elif num_devices > devices_per_node and not rotates:
        algorithm = "hierarchical"
    else:
        algorithm = "ring"
    profile = profile_collective(topology, group, kind, algorithm=algorithm, reference_bytes=1.0)
    bytes_L = profile.link_bytes_L
    inside = _per_port(topology, bytes_L, LinkKind.SCALE_UP)
    across = _per_port(topology, bytes_L, LinkKind.SCALE_OUT)
    out = net.scale_out_link
    return Work(
        path_latency_s=profile.path_latency_s,
        inside_s_per_byte=inside / net.link.bandwidth_bytes_per_s,
        across_s_per_byte=across / out.bandwidth_bytes_per_s if out is not None else 0.0,
        vector_s_per_byte=1.0 / net.link.bandwidth_bytes_per_s,
        inside_bytes=inside,
        num_peers=devices_per_node - 1,
    )


def _per_port(topology: Topology, bytes_L: np.ndarray, kind: LinkKind) -> float:
    """Return the mean load of the ports in use: libraries turn rings so that all carry alike."""
    load_L = bytes_L[topology.kind_L == kind]
    used_L = load_L[load_L > 0]
    if not used_L.size:
        return 0.0
    if kind is LinkKind.SCALE_OUT:
        taking_part = np.unique(topology.source_L[(bytes_L > 0)])
        num_devices = int((taking_part < topology.num_dies).sum())
        return float(used_L.sum()) / (2 * num_devices)
    return float(used_L.mean())


LIBRARIES: Final[Mapping[str, Library]] = {
    "nccl-b200": Library(
        chunk_s=6.71e-06, port_share=0.867, idle_peers=0.273, switch_share=0.449, is_pipelined=True
    ),
    "nccl-a100": Library(chunk_s=8.31e-06, port_share=0.821, idle_peers=0.216, is_pipelined=True),
    "nccl-gb200": Library(
        chunk_s=6.61e-06, port_share=0.845, idle_peers=0.261, switch_share=0.538, is_pipelined=True
    ),
    "nccl-h100": Library(
        chunk_s=3.69e-06, port_share=0.866, idle_peers=0.282, switch_share=0.611, is_pipelined=True
    ),
    "nccl-h200": Library(
        chunk_s=3.77e-06, port_share=0.887, idle_peers=0.24, switch_share=0.633, is_pipelined=True
    ),
    "nccl-h100-ib": Library(
        chunk_s=3.04e-05,
        port_share=0.866,
        idle_peers=0.282,
        switch_share=0.611,
        is_pipelined=True,
        across_share=0.809,
    ),
    "nccl-h100-tcpxo": Library(
        chunk_s=0.000199,
        port_share=0.866,
        idle_peers=0.282,
        switch_share=0.611,
        is_pipelined=True,
        across_share=0.538,
    ),
    "nccl-h100-efa": Library(
        chunk_s=4.65e-05,
        port_share=0.866,
        idle_peers=0.282,
        switch_share=0.611,
        is_pipelined=True,
        across_share=0.721,
    ),
    "nccl-a100-roce": Library(
        chunk_s=1.67e-05, port_share=0.821, idle_peers=0.216, is_pipelined=True, across_share=0.843
    ),
    "deepep-normal-combine-h100": Library(
        chunk_s=5.06e-05, port_share=0.669, multiprocessor_bytes_per_s=1.7e10
    ),
    "deepep-normal-dispatch-h100": Library(
        chunk_s=3.29e-05, port_share=0.656, multiprocessor_bytes_per_s=1.55e10
    ),
    "deepep-normal-combine-h200": Library(
        chunk_s=4.98e-05, port_share=0.662, multiprocessor_bytes_per_s=1.7e10
    ),
    "deepep-normal-dispatch-h200": Library(
        chunk_s=3.24e-05, port_share=0.656, multiprocessor_bytes_per_s=1.58e10
    ),
    "deepep-normal-combine-b200": Library(
        chunk_s=5.97e-05, port_share=0.452, multiprocessor_bytes_per_s=1.81e10
    ),
    "deepep-normal-dispatch-b200": Library(
        chunk_s=4.05e-05, port_share=0.379, multiprocessor_bytes_per_s=1.5e10
    ),
    "deepep-low-latency-combine-h100": Library(chunk_s=1.06e-05, port_share=0.489),
    "deepep-low-latency-dispatch-h100": Library(chunk_s=1.21e-05, port_share=0.575),
    "deepep-low-latency-combine-h200": Library(chunk_s=1.02e-05, port_share=0.504),
    "deepep-low-latency-dispatch-h200": Library(chunk_s=1.11e-05, port_share=0.603),
    "deepep-low-latency-combine-b200": Library(chunk_s=1.94e-05, port_share=0.674),
    "deepep-low-latency-dispatch-b200": Library(chunk_s=2.3e-05, port_share=0.606),
    "trtllm-combine-gb200": Library(chunk_s=1.13e-05, port_share=0.738, token_s=5.45e-08),
    "trtllm-dispatch-gb200": Library(chunk_s=1.09e-05, port_share=0.755, token_s=2.57e-08),
}
"""Every library, as `scripts/fit_collectives.py` prints it; it names the rows and the errors.

`across_share` is of the 400 Gb/s port of the H100 preset, also for TCPXO, whose ports have half.
"""
