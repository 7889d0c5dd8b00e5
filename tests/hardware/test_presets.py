"""Every preset loads, says where it comes from, and adds up to what its source prints."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from waferloom.hardware import SystemSpec, preset_names, preset_text, system
from waferloom.hardware.spec import (
    Dtype,
    MeshSpec,
    SwitchedSpec,
    TorusSpec,
    WaferGridSpec,
)

GOLDEN = tomllib.loads(
    (Path(__file__).parents[1] / "golden" / "hardware.toml").read_text(encoding="utf-8")
)["total"]
every_preset = pytest.mark.parametrize("name", preset_names())

# Where tiles are MAC arrays; on GPUs, and wafers of GPU dies, they are tiles of the GEMM library.
ARRAYS = [
    name
    for name in preset_names()
    if not isinstance(system(name).interconnect, SwitchedSpec) and "moentwine" not in name
]


def peak(spec: SystemSpec) -> float:
    peaks = spec.die.peak_flops_per_s
    return peaks[Dtype.BF16]


def quantity(spec: SystemSpec, name: str) -> float:
    die, net = spec.die, spec.interconnect
    dies = spec.num_dies
    match name, net:
        case "peak_flops_per_s", _:
            return dies * peak(spec)
        case "memory_bytes", _:
            return dies * die.memory.capacity_bytes
        case "memory_bytes_per_s", _:
            return dies * die.memory.bandwidth_bytes_per_s
        case "sram_bytes", _:
            return dies * die.sram_bytes
        case "num_cores", _:
            return dies * die.cores.num_cores
        case "compute_w", _:
            return dies * peak(spec) * die.energy.mac_j_per_flop
        case "power_w", _:
            return dies * (die.energy.static_w + peak(spec) * die.energy.mac_j_per_flop)
        case "bisection_bytes_per_s", MeshSpec():
            return min(net.rows, net.cols) * net.link.bandwidth_bytes_per_s
        case "die_links_bytes_per_s", MeshSpec():
            return 4 * net.link.bandwidth_bytes_per_s
        case "die_links_bytes_per_s_both_ways", TorusSpec():
            return 2 * 2 * len(net.shape) * net.link.bandwidth_bytes_per_s
        case "wafer_edge_bytes_per_s", WaferGridSpec():
            return net.rows * net.wafer_link.bandwidth_bytes_per_s
        case "scale_up_bytes_per_s_both_ways", SwitchedSpec():
            return net.devices_per_node * 2 * net.link.bandwidth_bytes_per_s
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['system']}-{row['quantity']}")
def test_totals_are_those_of_the_source(row: dict[str, Any]) -> None:
    found = quantity(system(row["system"]), row["quantity"])
    assert found == pytest.approx(row["expected"], rel=row["rel_tol"])


@every_preset
def test_a_preset_is_called_like_its_file_and_states_its_sources(name: str) -> None:
    spec = system(name)
    assert spec.name == name
    assert spec.description
    assert all(source.title for source in spec.source)
    assert all(why for why in spec.assumptions.values())


@every_preset
def test_a_preset_has_energy_for_compute_memory_and_links(name: str) -> None:
    spec = system(name)
    assert spec.die.energy.mac_j_per_flop > 0
    assert spec.interconnect.link.energy_j_per_byte > 0
    is_sram = spec.die.memory.capacity_bytes <= spec.die.sram_bytes
    assert is_sram or spec.die.memory.energy_j_per_byte > 0


@every_preset
def test_assumptions_name_keys_of_the_system(name: str) -> None:
    spec = system(name).model_dump(mode="json")
    for key in spec.pop("assumptions"):
        table: Any = spec
        for part in key.split("."):
            assert part in table, key
            table = table[part]


@pytest.mark.parametrize("name", ARRAYS)
def test_the_core_array_makes_about_the_stated_peak(name: str) -> None:
    die = system(name).die
    macs = max(rows * cols for rows, cols in die.cores.tile_shapes)
    array_flops_per_s = die.cores.num_cores * macs * 2 * die.clock_hz
    # WATOS prints both about 2 TFLOPS a core and 708 over 324 cores, 7 % apart.
    assert array_flops_per_s == pytest.approx(peak(system(name)), rel=0.07)


@pytest.mark.parametrize(
    ("name", "sustained_flops_per_s", "tdp_w"),
    [
        ("dgx-a100", 256.5e12, 400),
        ("dgx-h100", 1382.2e12 / 2, 700),
        ("dgx-b200", 1745e12, 1000),
        ("gb200-nvl72", 1822e12, 1200),
        ("h100-hbm2e-500w", 0.6 * 989.4e12, 500),
    ],
)
def test_a_busy_gpu_draws_its_rated_power(
    name: str, sustained_flops_per_s: float, tdp_w: float
) -> None:
    die = system(name).die
    memory = die.memory
    half_busy_w = 0.5 * memory.bandwidth_bytes_per_s * memory.energy_j_per_byte
    matrix_w = die.energy.mac_j_per_flop * sustained_flops_per_s
    assert die.energy.static_w + matrix_w + half_busy_w == pytest.approx(tdp_w, rel=0.03)


WAFER_M = 0.215
STACKS = {  # depth from the die's edge, length along it, of the parts that the presets name
    "hbm2e": [(0.00775, 0.01187)],
    "hbm3": [(0.010, 0.011), (0.011, 0.010)],
}


@pytest.mark.parametrize("name", [name for name in preset_names() if "watos-like" in name])
def test_the_wafers_like_watos_fit_a_square_of_215_mm(name: str) -> None:
    spec = system(name)
    net, die = spec.interconnect, spec.die
    assert isinstance(net, MeshSpec)
    assert die.width_m is not None
    assert die.height_m is not None
    sides = 2 if "4stack" in name else 1
    kind = "hbm2e" if "hbm2e" in name else "hbm3"
    fits = [
        math.floor(WAFER_M / (die.height_m + sides * depth)) >= net.rows
        and math.floor(WAFER_M / max(die.width_m, 2 * along)) >= net.cols
        for depth, along in STACKS[kind]
    ]
    assert any(fits)
    assert die.width_m * die.height_m <= 858e-6
    assert not spec.flags


def test_the_published_watos_wafer_does_not_fit_and_says_so() -> None:
    spec = system("watos-config3")
    assert spec.die.height_m is not None
    assert any("not buildable" in flag for flag in spec.flags)
    assert spec.grid_shape == (7, 8)
    assert spec.grid_shape[0] * (spec.die.height_m + 0.00775) > WAFER_M


def test_preset_text_is_the_file_with_its_comments() -> None:
    text = preset_text("temp-6x8")
    assert tomllib.loads(text)["name"] == "temp-6x8"
    assert "#" in text
