"""Link loads of expert-parallel layouts come out of flows, routes and collectives as counted.

Only the traffic is written here: who holds which tokens (block and entwined layouts), and from
which holder a die fetches them (the owner, the nearest copy, or the copy in its own tile).
"""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from network_systems import mesh

from waferloom.communication import CollectiveKind
from waferloom.network.profile import profile_collective
from waferloom.network.ring_order import hop_table
from waferloom.network.routing import ROUTING
from waferloom.network.topology import FloatArray, IntArray, Topology, build_topology
from waferloom.network.traffic import TrafficBuilder

GOLDEN = tomllib.loads(
    (Path(__file__).parents[1] / "golden" / "moentwine_loads.toml").read_text(encoding="utf-8")
)
ROWS = [pytest.param(row, id=f"{row['side']} TP{row['tensor_parallel']}") for row in GOLDEN["row"]]
TOP_K = 8


def near_square(area: int, rows: int, cols: int) -> tuple[int, int]:
    """Return the sides of the block with least perimeter that tiles the mesh, the lower first."""
    fits = [(a, area // a) for a in range(1, area + 1) if area % a == 0]
    return min((a + b, a, b) for a, b in fits if rows % a == 0 and cols % b == 0)[1:]


def tiles(side: int, a: int, b: int) -> IntArray:
    """Return the dies of each a x b tile; axes: tiles, places."""
    dies = np.arange(side * side).reshape(side // a, a, side // b, b)
    return dies.transpose(0, 2, 1, 3).reshape(-1, a * b)


def layouts(side: int, tp: int) -> tuple[IntArray, IntArray]:
    """Return groups as blocks, and groups with one member in every tile; axes: groups, members."""
    blocks = tiles(side, *near_square(tp, side, side))
    entwined = tiles(side, *near_square(side * side // tp, side, side)).T.copy()
    return blocks, entwined


def fetched_GTD(topology: Topology, groups_GT: IntArray, source: str) -> FloatArray:
    """Return the part of a group's tokens that a die gets from each member; sums to 1 over T."""
    num_groups, tp = groups_GT.shape
    if source == "owner":
        return np.full((num_groups, tp, topology.num_dies), 1.0 / tp)
    hops_GTD = hop_table(topology)[groups_GT]
    if source == "er":  # the member in the tile of the die, which is the same place of every group
        place_D = np.empty(topology.num_dies, dtype=np.int64)
        place_D[groups_GT] = np.arange(tp)
        return np.broadcast_to(np.arange(tp)[:, None] == place_D, hops_GTD.shape).astype(float)
    nearest = hops_GTD == hops_GTD.min(axis=1, keepdims=True)
    return nearest / nearest.sum(axis=1, keepdims=True)


def dispatch(
    topology: Topology, groups_GT: IntArray, source: str, routing: str = "xy"
) -> tuple[float, FloatArray]:
    """Return the mean hops and the link loads when every die draws k / D of all tokens."""
    part_GTD = fetched_GTD(topology, groups_GT, source)
    assert part_GTD.sum(axis=1) == pytest.approx(1.0)
    g, t, die = np.nonzero(part_GTD)
    size = part_GTD[g, t, die] * TOP_K / topology.num_dies
    builder = TrafficBuilder(topology, ROUTING[routing])
    builder.add(groups_GT[g, t], die, size)
    traffic = builder.build(num_slots=0)
    hops_F = np.diff(traffic.first_link_F1)
    return float((hops_F * size).sum() / size.sum()), traffic.link_bytes_L(topology)


@pytest.mark.parametrize("row", ROWS)
def test_dispatch_has_the_hops_and_the_busiest_link_that_were_counted(row: dict):
    topology = build_topology(mesh(row["side"], row["side"]))
    blocks, entwined = layouts(row["side"], row["tensor_parallel"])
    for source, groups in (("owner", blocks), ("near", blocks), ("er", entwined)):
        hops, load_L = dispatch(topology, groups, source)
        assert hops == pytest.approx(row["hops"][source], abs=GOLDEN["abs_tol"] * (1 + 1e-9))
        expected = pytest.approx(row["dispatch"][source], abs=GOLDEN["abs_tol"] * (1 + 1e-9))
        assert load_L.max() == expected, source


@pytest.mark.parametrize("row", ROWS)
def test_rings_of_blocks_and_entwined_rings_load_links_as_counted(row: dict):
    topology = build_topology(mesh(row["side"], row["side"]))
    for name, groups in zip(
        ("block", "er"), layouts(row["side"], row["tensor_parallel"]), strict=True
    ):
        profile = profile_collective(topology, groups, CollectiveKind.ALL_REDUCE, algorithm="ring")
        expected = pytest.approx(row["all_reduce"][name], abs=GOLDEN["abs_tol"] * (1 + 1e-9))
        assert profile.link_bytes_L.max() == expected, name


@pytest.mark.parametrize("row", ROWS)
def test_boxes_that_hold_all_tokens_have_the_counted_area(row: dict):
    topology = build_topology(mesh(row["side"], row["side"]))
    blocks, entwined = layouts(row["side"], row["tensor_parallel"])
    nearest_GD = hop_table(topology)[blocks].argmin(axis=1)
    member_GD = np.take_along_axis(blocks, nearest_GD, axis=1)
    sides = [
        np.maximum(at_D[member_GD].max(axis=0), at_D)
        - np.minimum(at_D[member_GD].min(axis=0), at_D)
        for at_D in (topology.row_D, topology.col_D)
    ]
    area_D = (sides[0] + 1) * (sides[1] + 1)
    assert area_D.mean() == pytest.approx(row["domain_area"], rel=GOLDEN["area_rel_tol"])
    assert entwined.shape[0] <= area_D.max()  # a tile holds each group once and nothing twice


@pytest.mark.parametrize("case", GOLDEN["split_over_both_orders"])
def test_half_of_each_message_along_either_order_cools_the_busiest_link(case: dict):
    topology = build_topology(mesh(case["side"], case["side"]))
    blocks, _ = layouts(case["side"], case["tensor_parallel"])
    loads = [dispatch(topology, blocks, "near", routing)[1] for routing in ("xy", "yx")]
    expected = pytest.approx(case["dispatch_near"], abs=GOLDEN["abs_tol"])
    assert (sum(loads) / 2).max() == expected
    # One way for each pair, drawn at random, comes near but is not as even.
    drawn = dispatch(topology, blocks, "near", "o1turn")[1].max()
    assert case["dispatch_near"] <= drawn * (1 + 1e-9)


@pytest.mark.parametrize(("side", "a"), [(4, 2), (6, 2), (8, 2), (8, 4), (12, 2), (12, 4), (12, 6)])
def test_owner_and_entwined_loads_follow_their_closed_forms(side: int, a: int):
    topology = build_topology(mesh(side, side))
    blocks, entwined = layouts(side, side * side // (a * a))
    owner = dispatch(topology, blocks, "owner")[1].max()
    assert owner == pytest.approx(TOP_K * a * a / (4 * side), rel=1e-9)
    inside = dispatch(topology, entwined, "er")[1].max()
    assert inside == pytest.approx(TOP_K * a**3 / (4 * side * side), rel=1e-9)
