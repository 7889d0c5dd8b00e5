"""Comparisons of the network simulators: what is read, what is compared, and how close it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError
from waferloom.hardware.spec import LinkSpec
from waferloom.network import build_topology
from waferloom.network.simulators.packet import PacketModel
from waferloom.studies.astrasim_rows import (
    MODEL,
    AstrasimRow,
    astrasim_traffic,
    read_astrasim,
)
from waferloom.studies.collective_run import bus_factor, run_collective
from waferloom.studies.data_directory import find_data
from waferloom.studies.network_document import network_markdown
from waferloom.studies.network_spelling import member_groups, network_system, with_faults
from waferloom.studies.traffic_curve import PATTERNS, load_curve
from waferloom.studies.validate_network import (
    CASES,
    QUEUE_TOLERANCE,
    TARGETS,
    BooksimResult,
    CaseFamily,
    FidelityResult,
    NetworkValidation,
    compare_with_astrasim,
    compare_with_booksim,
    run_case,
)

UNIT = LinkSpec(bandwidth_bytes_per_s=1.0, latency_s=0.0)
LINK = LinkSpec(bandwidth_bytes_per_s=1e11, latency_s=5e-7)
NAMES = (
    "backend,topology,num_npus,collective,algorithm_per_dimension,size_MiB,link_GiB_per_s,"
    "link_latency_ns,dataset_splits,local_memory_GB_per_s,first_finish_ns,last_finish_ns"
)
# ASTRA-sim 2, analytical backends, as the data directory has them.
ASTRASIM = f"""{NAMES}
"analytical, congestion-aware",Ring 8,8,all_reduce,ring,1,100.0,500.0,1,1000000,24230,24230
"analytical, congestion-aware",Switch 8,8,all_reduce,ring,1,100.0,500.0,1,1000000,48310,48310
"analytical, congestion-aware",Ring 8,8,all_to_all,ring,1,100.0,500.0,1,1000000,48450,48450
"analytical, congestion-aware",Ring 8,8,all_reduce,ring,1,100.0,500.0,1,50,99999,99999
"""
BOOKSIM = """mesh_k,traffic,injection_rate_flits_per_node_cycle,avg_packet_latency_cycles,\
max_packet_latency_cycles,avg_network_latency_cycles,accepted_flits_per_node_cycle,\
avg_hops_incl_ejection,unstable
4,uniform,0.1,16.1585,33,16.1585,0.102146,3.51232,False
4,uniform,0.3,16.5267,39,16.5267,0.304104,3.51729,False
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A data directory of a few rows."""
    (tmp_path / "net_reference_astrasim.csv").write_text(ASTRASIM)
    (tmp_path / "net_reference_booksim.csv").write_text(BOOKSIM)
    return tmp_path


def test_rows_with_a_local_memory_term_are_outside_the_network(tables: Path):
    rows = read_astrasim(tables)
    assert [row.duration_s for row in rows] == pytest.approx([24.23e-6, 48.31e-6, 48.45e-6])
    assert {row.kind for row in rows} == {CollectiveKind.ALL_REDUCE, CollectiveKind.ALL_TO_ALL}


def test_the_queue_finds_what_astrasim_found(tables: Path):
    for result in compare_with_astrasim(tables):
        assert abs(result.error) < 1e-3
        assert result.bound_s <= result.row.duration_s
        assert not result.beats_the_links


def test_an_unknown_topology_is_named(tables: Path):
    path = tables / "net_reference_astrasim.csv"
    path.write_text(path.read_text().replace("Ring 8", "Moebius 8"))
    with pytest.raises(SpecError, match="unknown topology 'Moebius'"):
        astrasim_traffic(read_astrasim(tables)[0])


def test_every_row_of_the_reference_is_met():
    try:
        data = find_data()
    except SpecError as error:
        pytest.skip(str(error))
    results = compare_with_astrasim(data)
    aware = [result for result in results if result.row.is_congestion_aware]
    assert len(aware) > 60
    assert max(abs(result.error) for result in aware) <= QUEUE_TOLERANCE
    assert not any(result.beats_the_links for result in aware)
    # Exchanges without congestion are faster than the links of a ring or mesh allow.
    assert any(result.beats_the_links for result in results)


def astrasim_row(topology: str, num_dies: int, kind: CollectiveKind) -> AstrasimRow:
    return AstrasimRow(
        topology=topology,
        num_dies=num_dies,
        kind=kind,
        algorithm="ring",
        size_bytes=16 * 2**20,
        bandwidth_bytes_per_s=100e9,
        latency_s=500e-9,
        is_congestion_aware=True,
        duration_s=1.0,
    )


@pytest.mark.parametrize("n", [64, 256])
def test_large_rings_and_switches_follow_the_closed_forms_of_astrasim(n: int):
    size, step_s = 16 * 2**20, 500e-9 + 10e-9
    for topology, steps, per_step_s in (
        ("Ring", 2 * (n - 1), size / n / 100e9 + step_s),
        # both hops of a switch store and forward, the receiver's delay comes once
        ("Switch", 2 * (n - 1), 2 * (size / n / 100e9 + 500e-9) + 10e-9),
    ):
        row = astrasim_row(f"{topology} {n}", n, CollectiveKind.ALL_REDUCE)
        found_s = MODEL.run(*astrasim_traffic(row)).duration_s
        assert found_s == pytest.approx(steps * per_step_s, rel=1e-9)


@pytest.mark.parametrize("side", [8, 16, 32])
def test_large_meshes_and_tori_follow_the_closed_forms_of_astrasim(side: int):
    size, latency_s, overhead_s = 16 * 2**20, 500e-9, 10e-9

    def step_s(size_bytes: float) -> float:
        return size_bytes / 100e9 + latency_s + overhead_s

    torus = astrasim_row(f"Torus2D({side}x{side})", side**2, CollectiveKind.ALL_REDUCE)
    expected_s = 2 * (side - 1) * (step_s(size / side) + step_s(size / side**2))
    assert MODEL.run(*astrasim_traffic(torus)).duration_s == pytest.approx(expected_s, rel=1e-9)
    mesh = replace(torus, topology=f"Mesh2D({side}x{side})")
    # The message round the missing wrap crosses side - 1 links one after another.
    steps = 2 * (2 * side - 3)
    expected_s = steps * (step_s(size / side) + step_s(size / side**2))
    assert MODEL.run(*astrasim_traffic(mesh)).duration_s == pytest.approx(expected_s, rel=0.01)


def test_routers_are_as_slow_as_booksims(tables: Path):
    results = compare_with_booksim(tables)
    assert [result.rate for result in results] == [0.1, 0.3]
    for result in results:
        assert result.is_compared
        assert result.error == pytest.approx(0, abs=0.03)
        assert result.packet_accepted == pytest.approx(result.rate, rel=0.03)


@pytest.mark.parametrize("case", [c for c in CASES if c.mesh == "4x4"], ids=lambda c: c.name)
def test_no_simulator_beats_the_bound_and_streams_come_close_to_packets(case):
    result = run_case(case)
    for time_s in (result.queue_s, result.fluid_s, result.packet_s):
        assert result.bound_s <= time_s * (1 + 1e-9)
    assert 0 < result.efficiency <= 1
    free_running = ("all-to-all, in turns", "all-to-all, at once")
    if case.name not in free_running:  # what these miss, the page says
        assert result.is_within


def test_a_page_says_what_is_missed(tables: Path):
    case = next(case for case in CASES if case.family is CaseFamily.UNSCHEDULED)
    far = FidelityResult(
        case=case, bound_s=1e-6, queue_s=1e-6, fluid_s=1e-6, packet_s=2e-6, flit_bytes=64.0
    )
    near = [
        FidelityResult(
            case=next(case for case in CASES if case.family is family),
            bound_s=1e-6,
            queue_s=1e-6,
            fluid_s=1e-6,
            packet_s=1e-6,
            flit_bytes=64.0,
        )
        for family in CaseFamily
        if family is not CaseFamily.UNSCHEDULED
    ]
    settled = BooksimResult(
        mesh_k=8,
        rate=0.4,
        booksim_cycles=37.5,
        packet_cycles=38.2,
        booksim_accepted=0.398,
        packet_accepted=0.401,
        is_compared=True,
    )
    validation = NetworkValidation(
        queue=compare_with_astrasim(tables), booksim=(settled,), fidelities=(*near, far)
    )
    assert not validation.is_met
    page = network_markdown(validation)
    assert f"target {TARGETS[CaseFamily.UNSCHEDULED]:.0%}: **not met**" in page
    assert f"target {TARGETS[CaseFamily.RING]:.0%}: **met**" in page
    assert "-50.0%" in page


@pytest.mark.parametrize("pattern", PATTERNS)
def test_accepted_load_never_exceeds_what_was_offered_nor_the_limit_while_stable(pattern: str):
    topology = build_topology(network_system("4x4", UNIT))
    curve = load_curve(topology, pattern)
    stable = [point for point in curve.points if point.is_stable]
    assert stable
    for point in stable:
        assert point.accepted <= point.rate * 1.1
    assert curve.saturation <= 1.02 * curve.limit
    latencies = [point.latency_cycles for point in curve.points]
    assert latencies[-1] > latencies[0]


def test_limits_are_those_of_the_busiest_links():
    topology = build_topology(network_system("8x8", UNIT))
    low = [1e-3]
    assert load_curve(topology, "uniform", low).limit == pytest.approx(0.5)  # 4 / k
    assert load_curve(topology, "transpose", low).limit == pytest.approx(1 / 7)
    assert load_curve(topology, "bit_complement", low).limit == pytest.approx(1 / 4)
    # The hot die takes in a tenth of everything and its share of the rest.
    assert load_curve(topology, "hotspot", low).limit == pytest.approx(1 / (6.4 + 0.9))


def test_a_deeper_buffer_lets_a_mesh_bear_more():
    topology = build_topology(network_system("8x8", UNIT))
    narrow = PacketModel(packet_flits=1, num_vcs=1, buffer_flits=2)
    wide = PacketModel(packet_flits=1, num_vcs=8, buffer_flits=8)
    accepted = [
        load_curve(topology, "uniform", [0.45], model=model).points[0].accepted
        for model in (narrow, wide)
    ]
    assert accepted[0] < 0.8 * accepted[1]


def test_blocks_leave_out_what_does_not_fill_one():
    topology = build_topology(network_system("3x5", LINK))
    assert member_groups(topology, ["2x2"]).tolist() == [[0, 1, 5, 6], [2, 3, 7, 8]]
    assert member_groups(topology, ["columns"]).shape == (5, 3)


def test_dead_dies_are_no_members():
    system = with_faults(network_system("4x4", LINK), "dies=2,seed=3")
    topology = build_topology(system)
    everyone = member_groups(topology, ["all"])[0]
    assert everyone.tolist() == np.flatnonzero(topology.is_live_D).tolist()
    assert everyone.size == 14
    rows = member_groups(topology, ["rows"])
    assert (rows >= 0).sum() == 14


def test_bus_rate_is_what_each_member_must_send_over_time():
    assert bus_factor(CollectiveKind.ALL_REDUCE, 8) == pytest.approx(14 / 8)
    assert bus_factor(CollectiveKind.ALL_TO_ALL, 8) == pytest.approx(7 / 8)
    assert bus_factor(CollectiveKind.BROADCAST, 8) == 1
    assert bus_factor(CollectiveKind.ALL_GATHER, 1) == 0


def test_the_best_algorithm_is_the_best_of_the_finest_simulator():
    system = network_system("2x2@2x3", LINK, LINK)
    topology = build_topology(system)
    groups = member_groups(topology, ["all"])
    kind = CollectiveKind.ALL_REDUCE
    best = run_collective(system, topology, groups, kind, 1e6, networks=("queue",))
    every = run_collective(
        system, topology, groups, kind, 1e6, algorithm="all", networks=("bound", "queue")
    )
    assert best.shown.duration_s == min(t.duration_s for t in every.times if t.network == "queue")
    assert every.shown.algorithm == best.shown.algorithm
    assert (every.utilization_L <= 1).all()
