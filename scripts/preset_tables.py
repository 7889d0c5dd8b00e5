"""Write the tables of presets in the documentation from the presets themselves.

Run it after adding or changing a preset; a test compares the page with what it writes.
"""

from pathlib import Path

from waferloom.hardware import SystemSpec, preset_names, system
from waferloom.hardware.spec import MeshSpec, SwitchedSpec, TorusSpec, WaferGridSpec
from waferloom.units import Dimension, format_quantity
from waferloom.workload.library import model, model_names
from waferloom.workload.parameters import count_parameters

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "presets.md"
HEADER = """# Presets

Written by `scripts/preset_tables.py`. Peaks are dense 16-bit rates of one die; link bandwidth is of
one direction. `waferloom presets show NAME` adds sources and assumptions.
"""


def network_of(spec: SystemSpec) -> str:
    """Describe the interconnect in a few words."""
    net = spec.interconnect
    match net:
        case MeshSpec():
            return f"{net.rows}x{net.cols} mesh"
        case WaferGridSpec():
            return f"{net.wafer_rows}x{net.wafer_cols} wafers of {net.rows}x{net.cols}"
        case TorusSpec():
            shape = "x".join(map(str, net.shape))
            return f"{shape} torus" + (f", {net.num_slices} slices" if net.num_slices > 1 else "")
        case SwitchedSpec():
            return f"{net.num_nodes} x {net.devices_per_node} behind switches"


def system_row(name: str) -> str:
    """One line of the table of systems."""
    spec = system(name)
    die = spec.die
    peaks = {str(dtype): peak for dtype, peak in die.peak_flops_per_s.items()}
    peak = peaks.get("bf16") or peaks.get("fp16") or max(peaks.values())
    cells = [
        f"`{name}`",
        network_of(spec),
        str(spec.num_dies),
        format_quantity(peak, Dimension.FLOP_RATE),
        format_quantity(die.memory.capacity_bytes, Dimension.BYTES),
        format_quantity(die.memory.bandwidth_bytes_per_s, Dimension.BANDWIDTH),
        format_quantity(spec.interconnect.link.bandwidth_bytes_per_s, Dimension.BANDWIDTH),
    ]
    return f"| {' | '.join(cells)} |"


def model_row(name: str) -> str:
    """One line of the table of models."""
    config = model(name)
    total = format_quantity(count_parameters(config).total, Dimension.COUNT)
    experts = f"{config.moe.num_experts}, top {config.moe.top_k}" if config.moe else ""
    cells = [f"`{name}`", total, str(config.num_layers), str(config.hidden_size), experts]
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """Return the whole page."""
    systems = [system_row(name) for name in preset_names()]
    models = [model_row(name) for name in model_names()]
    lines = [
        HEADER,
        "## Systems\n",
        "| name | network | dies | peak | memory | its bandwidth | link |",
        "|---|---|---|---|---|---|---|",
        *systems,
        "\n## Models\n",
        "| name | parameters | layers | hidden size | experts |",
        "|---|---|---|---|---|",
        *models,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
