"""Measured collectives: reading them, the law of libraries, and how close it comes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from waferloom.communication import CollectiveKind
from waferloom.errors import SpecError
from waferloom.hardware import system
from waferloom.studies.collective_library import LIBRARIES, Library, duration_s, work_of
from waferloom.studies.collective_rows import CollectiveRow, devices_reached, read_collectives
from waferloom.studies.data_directory import find_data
from waferloom.studies.network_document import collectives_markdown
from waferloom.studies.validate_collectives import (
    NOT_FITTED,
    TARGET_MAPE,
    CollectiveValidation,
    SizeBand,
    band_of,
    validate_collectives,
)

IDEAL = Library(chunk_s=0.0, port_share=1.0)
PORT = 450e9
OUT = 50e9


def row(
    kind: CollectiveKind = CollectiveKind.ALL_REDUCE,
    num_devices: int = 8,
    size_bytes: float = 1e9,
    **changes: object,
) -> CollectiveRow:
    base = CollectiveRow(
        table="none",
        family="none",
        group="none",
        preset=f"dgx-h100:{-(-num_devices // 8)}",
        library="nccl-h100",
        kind=kind,
        num_devices=num_devices,
        devices_per_node=min(num_devices, 8),
        size_bytes=size_bytes,
        duration_s=1.0,
    )
    return replace(base, **changes)


def took(library: Library, one: CollectiveRow) -> float:
    return duration_s(library, work_of(one), one)


def bandwidth_s(one: CollectiveRow) -> float:
    """Time beyond latency, by an ideal library."""
    return took(IDEAL, one) - work_of(one).path_latency_s


@pytest.mark.parametrize("n", [2, 4, 8])
@pytest.mark.parametrize(
    ("kind", "laps"),
    [
        (CollectiveKind.ALL_REDUCE, 2),
        (CollectiveKind.ALL_GATHER, 1),
        (CollectiveKind.REDUCE_SCATTER, 1),
        (CollectiveKind.ALL_TO_ALL, 1),
    ],
)
def test_ports_inside_a_node_carry_the_least_bytes(kind: CollectiveKind, laps: int, n: int):
    one = row(kind, n)
    assert bandwidth_s(one) == pytest.approx(laps * (n - 1) / n * 1e9 / PORT)


def test_across_nodes_every_port_carries_its_share():
    reduced = row(num_devices=32)
    # 4 nodes; each of 8 ports reduces an eighth of the vector with its equals
    assert bandwidth_s(reduced) == pytest.approx(max(2 * 3 / 4 / 8 * 1e9 / OUT, 1.75e9 / PORT))
    exchanged = row(CollectiveKind.ALL_TO_ALL, 32)
    assert bandwidth_s(exchanged) == pytest.approx(24 / 32 * 1e9 / OUT)
    ring = row(num_devices=32, rotates=True)
    # one ring over all, turned so that every port takes part: 2 (n - 1) / n of an eighth
    assert bandwidth_s(ring) == pytest.approx(2 * 31 / 32 / 8 * 1e9 / OUT, rel=0.01)


def test_chunks_in_a_pipeline_follow_the_law_of_the_best_number():
    library = replace(IDEAL, chunk_s=5e-6, is_pipelined=True)
    one = row(CollectiveKind.ALL_TO_ALL)
    work_s = bandwidth_s(one)
    latency_s = work_of(one).path_latency_s
    # The least over all numbers of chunks of (chunks + 1) chunk_s + work (1 + 1 / chunks) ...
    best = min((k + 1) * 5e-6 + work_s * (1 + 1 / k) for k in range(1, 2000))
    assert took(library, one) - latency_s == pytest.approx(best, rel=1e-3)
    assert took(replace(library, is_pipelined=False), one) - latency_s == pytest.approx(
        5e-6 + work_s
    )


def test_a_pair_leaves_more_of_its_ports_idle_than_eight_do():
    library = replace(IDEAL, idle_peers=0.5)
    pair, eight = row(num_devices=2), row(num_devices=8)
    shares = [
        bandwidth_s(one) / (took(library, one) - work_of(one).path_latency_s)
        for one in (pair, eight)
    ]
    assert shares == pytest.approx([1 / 1.5, 7 / 7.5])


def test_a_switch_that_adds_up_sends_the_vector_once():
    library = replace(IDEAL, switch_share=1.0)
    one = row()
    assert took(library, one) - work_of(one).path_latency_s == pytest.approx(1e9 / PORT)
    # It is not taken where it is slower, for other collectives, or by two devices.
    assert took(replace(library, switch_share=0.3), one) == took(IDEAL, one)
    for other in (row(CollectiveKind.ALL_GATHER), row(num_devices=2), row(rotates=True)):
        assert took(library, other) == took(IDEAL, other)


def test_few_multiprocessors_and_many_tokens_cost_time():
    library = replace(IDEAL, multiprocessor_bytes_per_s=1e10, token_s=1e-8)
    one = row(CollectiveKind.ALL_TO_ALL, num_multiprocessors=4, num_tokens=1e5)
    expected_s = 7 / 8 * 1e9 / 4e10 + 1e-3
    assert took(library, one) - work_of(one).path_latency_s == pytest.approx(expected_s)
    many = replace(one, num_multiprocessors=132)
    assert took(library, many) - work_of(one).path_latency_s == pytest.approx(
        7 / 8 * 1e9 / PORT + 1e-3
    )


def test_random_experts_reach_as_many_devices_as_drawing_them_one_by_one():
    # 4 devices of 2 experts, two of 8 drawn: the second is on the first's device with 1 in 7
    assert devices_reached(8, 4, 2) == pytest.approx(1 + 6 / 7)
    assert devices_reached(256, 8, 256) == pytest.approx(8)


def test_bands_meet_without_a_gap():
    mib = 2**20
    sizes = (mib - 1, mib, 16 * mib - 1, 16 * mib)
    assert [band_of(size) for size in sizes] == [
        SizeBand.SMALL,
        SizeBand.MEDIUM,
        SizeBand.MEDIUM,
        SizeBand.LARGE,
    ]


def test_a_missing_table_is_named(tmp_path: Path):
    with pytest.raises(SpecError, match=r"has no comm_nccl_intranode\.csv"):
        read_collectives(tmp_path)


def test_no_library_beats_its_ports():
    for name, library in LIBRARIES.items():
        for share in (library.port_share, library.switch_share, library.across_share):
            assert share is None or 0 < share <= 1, name
        assert math.isfinite(library.chunk_s)
        assert library.chunk_s > 0


@pytest.fixture(scope="module")
def measured() -> CollectiveValidation:
    try:
        return validate_collectives(find_data())
    except SpecError as error:
        pytest.skip(str(error))


def test_every_table_is_met_at_sizes_that_matter(measured: CollectiveValidation):
    assert len(measured.tables) == 6
    for table in measured.tables:
        assert table.mape[SizeBand.LARGE] <= TARGET_MAPE, table.name
    assert measured.is_met


def test_numbers_hold_on_rows_they_were_not_fitted_on(measured: CollectiveValidation):
    unseen = [family for family in measured.families if not family.is_fitted]
    assert {family.name for family in unseen} == NOT_FITTED
    for family in unseen:
        assert family.mape[SizeBand.LARGE] <= TARGET_MAPE, family.name


def test_the_law_is_nearer_than_what_the_step_uses(measured: CollectiveValidation):
    for family in measured.families:
        if family.step_mape is not None:
            assert family.mape[SizeBand.LARGE] <= family.step_mape + 1e-3, family.name


def test_every_row_is_compared_or_left_out_with_a_reason(measured: CollectiveValidation):
    assert len(measured.results) == sum(table.num_rows for table in measured.tables)
    assert all(left.reason and left.num_rows for left in measured.unusable)
    # no time is below what the ports allow, but for reductions in the switch
    for result in measured.results:
        one = result.row
        if one.kind is not CollectiveKind.ALL_REDUCE:
            work = work_of(one)
            assert result.model_s >= one.size_bytes * work.inside_s_per_byte
    assert all(system(result.row.preset) for result in measured.results[:5])


def test_the_page_names_every_family_and_what_is_left_out(measured: CollectiveValidation):
    page = collectives_markdown(measured)
    for family in measured.families:
        assert family.name in page
    for left in measured.unusable:
        assert left.reason in page
    assert "**met**" in page
