"""Collectives and synthetic traffic on networks, for the terminal and as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from waferloom.communication import CollectiveKind
from waferloom.network.topology import LinkKind, Topology
from waferloom.report.wording import (
    device_noun,
    interconnect_words,
    num_bytes,
    percent,
    plural,
    seconds,
    share,
)
from waferloom.studies.collective_run import CollectiveRun, CollectiveTime
from waferloom.studies.traffic_curve import LoadCurve
from waferloom.studies.validate_collectives import (
    TARGET_MAPE,
    CollectiveFamily,
    CollectiveValidation,
    SizeBand,
)
from waferloom.studies.validate_network import (
    BOOKSIM_TOLERANCE,
    QUEUE_TOLERANCE,
    TARGETS,
    NetworkValidation,
)
from waferloom.units import Dimension, format_quantity

_QUIET: Final = "dim"
_HOT_LINKS: Final = 5
_KIND_NAMES: Final = {
    LinkKind.D2D: "die to die",
    LinkKind.WAFER: "wafer to wafer",
    LinkKind.SCALE_UP: "inside a node",
    LinkKind.SCALE_OUT: "between nodes",
    LinkKind.TORUS: "torus",
    LinkKind.SLICE: "between slices",
}


def collective_view(run: CollectiveRun) -> RenderableType:
    """Return what a collective takes, and which links it loads most."""
    return Group(_headline(run), _times(run), *_remarks(run), *_links(run))


def collective_json(run: CollectiveRun) -> Mapping[str, Any]:
    """Return a collective as JSON has it."""
    return {
        "kind": run.kind.value,
        "size_bytes": run.size_bytes,
        "system": run.system.name,
        "groups": [[int(die) for die in group if die >= 0] for group in run.groups_GN],
        "times": [_time_json(time) for time in run.times],
        "left_out": dict(run.left_out),
        "shown": _time_json(run.shown),
        "links": {
            "source": run.topology.source_L.tolist(),
            "destination": run.topology.destination_L.tolist(),
            "bandwidth_bytes_per_s": run.topology.bandwidth_bytes_per_s_L.tolist(),
            "load_bytes": run.link_bytes_L.tolist(),
            "busy_share": run.utilization_L.tolist(),
            "num_dies": run.topology.num_dies,
        },
    }


def load_view(curve: LoadCurve) -> RenderableType:
    """Return latency against load."""
    table = _table("offered", "accepted", "latency", "p99", "")
    for point in curve.points:
        table.add_row(
            f"{point.rate:.3f}",
            f"{point.accepted:.3f}",
            f"{point.latency_cycles:,.1f}",
            f"{point.p99_latency_cycles:,.0f}",
            "" if point.is_stable else Text("saturated", style="yellow"),
            style="" if point.is_stable else _QUIET,
        )
    heading = Text(curve.pattern, style="bold")
    heading.append(f" on {curve.topology.name}, {curve.routing} routing", style="")
    units = "flits per die and cycle; latencies in cycles"
    units += f" of {seconds(curve.cycle_s)}" if curve.cycle_s is not None else ""
    verdict = (
        f"Keeps up with loads up to {curve.saturation:.3f}, "
        f"{percent(curve.saturation / curve.limit)} of the {curve.limit:.3f} that links and ports "
        "allow."
    )
    return Group(
        Padding(Group(heading, Text(units, style=_QUIET)), (1, 0, 0, 0)),
        Padding(table, (1, 0, 0, 2)),
        Padding(Text(verdict), (1, 0, 0, 2)),
    )


def load_json(curve: LoadCurve) -> Mapping[str, Any]:
    """Return latency against load as JSON has it."""
    return {
        "system": curve.topology.name,
        "pattern": curve.pattern,
        "routing": curve.routing,
        "limit": curve.limit,
        "saturation": curve.saturation,
        "cycle_s": curve.cycle_s,
        "points": [
            {
                "rate": point.rate,
                "latency_cycles": point.latency_cycles,
                "p99_latency_cycles": point.p99_latency_cycles,
                "accepted": point.accepted,
                "is_stable": point.is_stable,
            }
            for point in curve.points
        ],
        "links": {
            "source": curve.topology.source_L.tolist(),
            "destination": curve.topology.destination_L.tolist(),
            "flits_per_cycle_at_rate_1": curve.link_flits_L.tolist(),
        },
    }


def _time_json(time: CollectiveTime) -> Mapping[str, Any]:
    return {
        "network": time.network,
        "algorithm": time.algorithm,
        "duration_s": time.duration_s,
        "flit_bytes": time.flit_bytes,
        "algorithm_bytes_per_s": time.algorithm_bytes_per_s,
        "bus_bytes_per_s": time.bus_bytes_per_s,
    }


def _headline(run: CollectiveRun) -> RenderableType:
    words = Text(run.kind.value, style="bold")
    words.append(f" of {num_bytes(run.size_bytes)}, ", style="")
    num_groups = run.groups_GN.shape[0]
    groups = f"{plural(num_groups, 'group')} of " if num_groups > 1 else ""
    noun = device_noun(run.system)
    words.append(f"{groups}{plural(run.num_members, noun)}", style="")
    dead = run.system.num_dies - run.system.num_live_dies
    broken = len(run.system.defects.dead_links)
    faults = [plural(dead, f"dead {noun}")] if dead else []
    faults += [plural(broken, "dead link")] if broken else []
    about = "; ".join([run.system.name, interconnect_words(run.system), *faults])
    return Padding(Group(words, Text(about, style=_QUIET)), (1, 0, 0, 0))


def _times(run: CollectiveRun) -> RenderableType:
    table = _table("network", "algorithm", "time", "rate", "bus rate", "over bound")
    for column in table.columns:
        column.no_wrap = True
    for name in ("network", "algorithm"):
        column = next(column for column in table.columns if column.header == name)
        column.justify = "left"
    bounds = {t.algorithm: t.duration_s for t in run.times if t.network == "bound"}
    for time in run.times:
        bound_s = bounds.get(time.algorithm, 0.0)
        over = f"{time.duration_s / bound_s:.2f} x" if bound_s > 0 else "-"
        table.add_row(
            time.network,
            time.algorithm,
            seconds(time.duration_s),
            _rate(time.algorithm_bytes_per_s),
            _rate(time.bus_bytes_per_s),
            over,
            style="bold" if time is run.shown else "",
        )
    return Padding(table, (1, 0, 0, 2))


def _remarks(run: CollectiveRun) -> Iterator[RenderableType]:
    for time in run.times:
        if time.flit_bytes is not None:
            words = f"{time.network}, {time.algorithm}: flits of {num_bytes(time.flit_bytes)}."
            yield Padding(Text(words, style=_QUIET), (0, 0, 0, 2))
    for network, reason in run.left_out.items():
        yield Padding(Text(f"{network} is left out: {reason}.", style="yellow"), (0, 0, 0, 2))


def _links(run: CollectiveRun) -> Iterator[RenderableType]:
    busy_L, topology = run.utilization_L, run.topology
    if not run.link_bytes_L.any():
        yield Padding(Text("No byte crosses a link.", style=_QUIET), (1, 0, 0, 0))
        return
    table = _table("hottest links", "kind", "bytes", "busy")
    for column in table.columns[:2]:
        column.justify = "left"
    for link in np.argsort(-busy_L, kind="stable")[:_HOT_LINKS]:
        table.add_row(
            link_name(topology, int(link)),
            _KIND_NAMES[LinkKind(int(topology.kind_L[link]))],
            num_bytes(float(run.link_bytes_L[link])),
            share(float(busy_L[link])),
        )
    used_L = run.link_bytes_L > 0
    note = (
        f"{int(used_L.sum()):,} of {plural(topology.num_links, 'directed link')} carry something; "
        f"they are busy {percent(float(busy_L[used_L].mean()), digits=2)} of the time on average "
        f"({run.shown.network}, {run.shown.algorithm})."
    )
    yield Padding(table, (1, 0, 0, 2))
    yield Padding(Text(note, style=_QUIET), (0, 0, 0, 2))
    if run.kind in _BUS_KINDS:
        note = (
            "rate: size over time; bus rate: what each member has to send at least, over time; "
            "both as in the NCCL tests."
        )
        yield Padding(Text(note, style=_QUIET), (0, 0, 0, 2))


_BUS_KINDS: Final = frozenset(
    {
        CollectiveKind.ALL_REDUCE,
        CollectiveKind.REDUCE_SCATTER,
        CollectiveKind.ALL_GATHER,
        CollectiveKind.ALL_TO_ALL,
    }
)
"""Collectives of which the two rates differ."""


def link_name(topology: Topology, link: int) -> str:
    """Say which two nodes a link joins; dies are called by row and column.

    Example:
        >>> from waferloom.hardware import system
        >>> from waferloom.network.topology import build_topology
        >>> link_name(build_topology(system("temp-6x8")), 0)
        '(0, 0) to (0, 1)'
    """
    source, destination = int(topology.source_L[link]), int(topology.destination_L[link])
    return f"{_node(topology, source)} to {_node(topology, destination)}"


def _node(topology: Topology, node: int) -> str:
    if node < topology.num_dies:
        return f"({topology.row_D[node]}, {topology.col_D[node]})"
    return f"switch {node - topology.num_dies}"


def _rate(value: float | None) -> str:
    return "-" if value is None else format_quantity(value, Dimension.BANDWIDTH)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False, header_style=_QUIET)
    for name in columns:
        table.add_column(name, justify="right")
    return table


def network_validation_view(found: NetworkValidation) -> RenderableType:
    """Return how the simulators compare with others and with each other."""
    theirs, ours = found.saturation
    aware = sum(each.row.is_congestion_aware for each in found.queue)
    outside = Table.grid(padding=(0, 2))
    for words, error, tolerance in (
        (f"queue against ASTRA-sim, {aware} rows", found.worst_queue_error, QUEUE_TOLERANCE),
        ("packet against BookSim, latency", found.worst_latency_error, BOOKSIM_TOLERANCE),
        ("packet against BookSim, saturation", abs(ours / theirs - 1.0), BOOKSIM_TOLERANCE),
    ):
        shown = f"largest error {percent(error, digits=2)}, at most"
        outside.add_row(words, shown, _verdict(error, tolerance))
    table = _table("traffic", "mesh", "size", "packet", "fluid", "queue", "eff.", "target")
    table.columns[0].justify = "left"
    for column in table.columns[1:]:
        column.no_wrap = True
    for each in found.fidelities:
        target = TARGETS[each.case.family]
        table.add_row(
            each.case.name,
            each.case.mesh,
            num_bytes(each.case.size_bytes),
            seconds(each.packet_s),
            f"{100 * each.fluid_error:+.1f} %",
            f"{100 * each.queue_error:+.1f} %",
            f"{100 * each.efficiency:.0f} %",
            _verdict(abs(each.fluid_error), target) if target is not None else "",
        )
    note = (
        "fluid and queue: over the time of the packets, less 1; eff.: the bound over that time; "
        "target: for fluid"
    )
    return Group(
        Padding(outside, (1, 0, 0, 0)),
        Padding(table, (1, 0, 0, 0)),
        Padding(Text(note, style=_QUIET), (0, 0, 0, 1)),
    )


def network_validation_json(found: NetworkValidation) -> Mapping[str, Any]:
    """Return every row of the comparisons as JSON has it."""
    theirs, ours = found.saturation
    return {
        "is_met": found.is_met,
        "queue": [
            {
                "topology": each.row.topology,
                "kind": each.row.kind.value,
                "algorithm": each.row.algorithm,
                "size_bytes": each.row.size_bytes,
                "is_congestion_aware": each.row.is_congestion_aware,
                "astrasim_s": each.row.duration_s,
                "queue_s": each.queue_s,
                "bound_s": each.bound_s,
            }
            for each in found.queue
        ],
        "booksim": [
            {
                "mesh_k": each.mesh_k,
                "rate": each.rate,
                "booksim_cycles": each.booksim_cycles,
                "packet_cycles": each.packet_cycles,
                "booksim_accepted": each.booksim_accepted,
                "packet_accepted": each.packet_accepted,
                "is_compared": each.is_compared,
            }
            for each in found.booksim
        ],
        "saturation": {"booksim": theirs, "packet": ours},
        "fidelities": [
            {
                "family": each.case.family.value,
                "traffic": each.case.name,
                "mesh": each.case.mesh,
                "size_bytes": each.case.size_bytes,
                "flit_bytes": each.flit_bytes,
                "bound_s": each.bound_s,
                "queue_s": each.queue_s,
                "fluid_s": each.fluid_s,
                "packet_s": each.packet_s,
                "fluid_error": each.fluid_error,
                "efficiency": each.efficiency,
                "is_within": each.is_within,
            }
            for each in found.fidelities
        ],
    }


def collectives_validation_view(found: CollectiveValidation) -> RenderableType:
    """Return how collectives compare with those measured on GPUs."""
    table = _table("family", "rows", *SizeBand, "bias", "step")
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[0].justify = "left"
    for family in (*found.families, *found.tables, found.pooled):
        is_sum = family in found.tables or family is found.pooled
        errors = [family.mape.get(band) for band in SizeBand]
        table.add_row(
            Text(family.name, style="bold" if is_sum else "" if family.is_fitted else "italic"),
            f"{family.num_rows:,}",
            *("-" if error is None else f"{100 * error:.1f} %" for error in errors),
            "-" if family.bias is None else f"{100 * family.bias:+.1f} %",
            "-" if family.step_mape is None else f"{100 * family.step_mape:.1f} %",
        )
    note = (
        "Mean absolute errors of the time, by size; bias and step: at 16 MiB and more. Families in "
        "italics are fitted nowhere; bold lines are whole tables. step: by what the training step "
        "uses of NCCL."
    )
    target = Text(f"Target: at most {percent(TARGET_MAPE)} at 16 MiB and more in every table: ")
    target.append(
        "met" if found.is_met else "missed", style="bold green" if found.is_met else "bold red"
    )
    return Group(
        Padding(table, (1, 0, 0, 0)),
        Padding(Text(note, style=_QUIET), (0, 0, 0, 1)),
        Padding(target, (1, 0, 0, 0)),
    )


def collectives_validation_json(found: CollectiveValidation) -> Mapping[str, Any]:
    """Return the errors by family and table as JSON has them."""

    def family(each: CollectiveFamily) -> Mapping[str, Any]:
        return {
            "name": each.name,
            "num_rows": each.num_rows,
            "mape": {band.value: error for band, error in each.mape.items()},
            "bias": each.bias,
            "step_mape": each.step_mape,
            "is_fitted": each.is_fitted,
        }

    return {
        "is_met": found.is_met,
        "families": [family(each) for each in found.families],
        "tables": [family(each) for each in found.tables],
        "pooled": family(found.pooled),
        "left_out": [
            {
                "table": each.table,
                "what": each.what,
                "num_rows": each.num_rows,
                "reason": each.reason,
            }
            for each in found.unusable
        ],
    }


def _verdict(error: float, tolerance: float) -> Text:
    if error <= tolerance:
        return Text(f"{percent(tolerance)} ok", style="green")
    return Text(f"{percent(tolerance)} missed", style="bold red")
