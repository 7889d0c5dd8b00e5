"""How busy the links of a map are: lines between neighbours, a legend, and a table."""

from typing import Final

import numpy as np

from waferloom.hardware.spec import SystemSpec
from waferloom.network.topology import LinkKind, Topology
from waferloom.report.html.die_layout import DIE, DieLayout, Floats, Ints, drawn_links
from waferloom.report.html.markup import Markup, element, join, raw, table, title, words
from waferloom.report.wording import num_bytes, percent, plural, share
from waferloom.simulate.records import LinkLoads

HEAT_STEPS: Final = 9
"""Colours of the style sheet, `h0` for an idle link to `h8` for the busiest."""
_TOP_LINKS: Final = 8
_SIDE: Final = 6.0
"""Distance of a link from the line between the centres, to the right of its direction."""
LINK_NAMES: Final = {
    LinkKind.D2D: "die to die",
    LinkKind.WAFER: "wafer to wafer",
    LinkKind.SCALE_UP: "inside a node",
    LinkKind.SCALE_OUT: "between nodes",
    LinkKind.TORUS: "torus",
    LinkKind.SLICE: "between slices",
}


def link_lines(layout: DieLayout, links: LinkLoads, *, period: str = "step") -> Markup:
    """Return every link between neighbours as a line on the right-hand side of its direction."""
    topology, utilization_L, step_L = links.topology, links.utilization_L, heat_steps(links)
    drawn: list[Markup] = []
    for link in drawn_links(layout, topology):
        source, destination = int(topology.source_L[link]), int(topology.destination_L[link])
        dx = float(np.sign(layout.x_D[destination] - layout.x_D[source]))
        dy = float(np.sign(layout.y_D[destination] - layout.y_D[source]))
        hover = (
            f"{node_name(topology, source)} to {node_name(topology, destination)}: "
            f"{num_bytes(float(links.bytes_L[link]))} per {period}, "
            f"busy {share(float(utilization_L[link]))} of it"
        )
        ends = {
            "x1": float(layout.x_D[source]) + (1 + dx) * DIE / 2 - dy * _SIDE,
            "y1": float(layout.y_D[source]) + (1 + dy) * DIE / 2 + dx * _SIDE,
            "x2": float(layout.x_D[destination]) + (1 - dx) * DIE / 2 - dy * _SIDE,
            "y2": float(layout.y_D[destination]) + (1 - dy) * DIE / 2 + dx * _SIDE,
        }
        drawn.append(element("line", title(hover), attributes=ends, css=f"h{step_L[link]}"))
    return element("g", join(drawn), css="links")


def heat_steps(links: LinkLoads) -> Ints:
    """Return the colour of every link: 0 idle, then 1 to 8 in equal steps up to the busiest."""
    utilization_L = links.utilization_L
    peak = float(utilization_L.max(initial=0.0))
    if peak <= 0:
        return np.zeros(utilization_L.size, dtype=np.int64)
    busy = HEAT_STEPS - 1
    step_L = np.clip(np.ceil(utilization_L / peak * busy), 1, busy).astype(np.int64)
    return np.where(utilization_L > 0, step_L, 0)


def busiest_link_of_dies(layout: DieLayout, links: LinkLoads) -> dict[int, int]:
    """Return, for every die none of whose links is drawn, the busiest of its links."""
    topology = links.topology
    drawn = drawn_links(layout, topology)
    seen = {*topology.source_L[drawn].tolist(), *topology.destination_L[drawn].tolist()}
    utilization_L: Floats = links.utilization_L
    found: dict[int, int] = {}
    for link in np.argsort(utilization_L, kind="stable"):
        for node in (int(topology.source_L[link]), int(topology.destination_L[link])):
            if node < topology.num_dies and node not in seen:
                found[node] = int(link)
    return found


def dead_links(system: SystemSpec, layout: DieLayout) -> Markup:
    """Return a cross on every dead link of the defect map."""
    cols = system.grid_shape[1]
    marks: list[Markup] = []
    for (row_a, col_a), (row_b, col_b) in system.defects.dead_links:
        a, b = row_a * cols + col_a, row_b * cols + col_b
        x = float(layout.x_D[a] + layout.x_D[b]) / 2 + DIE / 2
        y = float(layout.y_D[a] + layout.y_D[b]) / 2 + DIE / 2
        hover = f"dead link between ({row_a}, {col_a}) and ({row_b}, {col_b})"
        cross = {"d": f"M{x - 6:g} {y - 6:g}l12 12m0-12l-12 12"}
        marks.append(element("g", title(hover), element("path", attributes=cross), css="dead-link"))
    return element("g", join(marks)) if marks else raw("")


def link_legend(layout: DieLayout, links: LinkLoads) -> Markup:
    """Return the scale of the colours, and what is not drawn."""
    peak = float(links.utilization_L.max(initial=0.0))
    ramp = join(element("i", css=f"h{step}") for step in range(HEAT_STEPS))
    scale = element("span", words("idle"), ramp, words(f"busy {share(peak)} of the step"))
    text = ""
    left_out = links.topology.num_links - drawn_links(layout, links.topology).size
    if left_out:
        joins = "joins no neighbours" if left_out == 1 else "join no neighbours"
        text = (
            f". {plural(left_out, 'link')} that {joins} cannot be drawn; a die without lines has "
            "the colour of its busiest link."
        )
    inner = (element("span", scale, css="heat"), words(text))
    return element("p", *inner, attributes={"data-for": "links"}, css="note")


def links_table(links: LinkLoads) -> Markup:
    """Return the busiest links and what all of them do together."""
    topology, utilization_L = links.topology, links.utilization_L
    if not utilization_L.size or float(utilization_L.max()) <= 0:
        return element("p", words("No link carries anything."), css="note")
    busiest = np.argsort(-utilization_L, kind="stable")[:_TOP_LINKS]
    rows = [
        (
            words(
                f"{node_name(topology, int(topology.source_L[link]))} to "
                f"{node_name(topology, int(topology.destination_L[link]))}"
            ),
            words(LINK_NAMES[LinkKind(int(topology.kind_L[link]))]),
            words(num_bytes(float(links.bytes_L[link]))),
            words(share(float(utilization_L[link]))),
        )
        for link in busiest
    ]
    used = float((links.bytes_L > 0).mean())
    note = (
        f"Of {plural(topology.num_links, 'directed link')}, {percent(used, digits=2)} carry "
        f"something; mean load {share(float(utilization_L.mean()))}, busiest "
        f"{share(float(utilization_L.max()))} of the step."
    )
    listing = table(("link", "kind", "bytes per step", "busy"), rows, text_columns=2)
    summary = element("summary", words("Busiest links"))
    return join((element("p", words(note), css="note"), element("details", summary, listing)))


def node_name(topology: Topology, node: int) -> str:
    """Name a die by row and column, a switch by number."""
    if node < topology.num_dies:
        return f"({topology.row_D[node]}, {topology.col_D[node]})"
    return f"switch {node - topology.num_dies}"
