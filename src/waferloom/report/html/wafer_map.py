"""The dies of a system as inline SVG: who computes what, how full memory is, which links work.

Dies keep their place on the grid. Switched systems show one box of devices per node, and
three-dimensional tori one box per plane. Links are drawn between neighbours. Buttons switch the
view by an attribute of the figure; all colours of a die are in the file, so that nothing has to be
computed in the browser.
"""

from collections.abc import Sequence
from typing import Final

from waferloom.mapping.plan import Plan
from waferloom.report.html.die_layout import DIE, DieLayout, die_layout
from waferloom.report.html.link_map import (
    busiest_link_of_dies,
    dead_links,
    heat_steps,
    link_legend,
    link_lines,
    links_table,
)
from waferloom.report.html.map_views import View, rank_words, views
from waferloom.report.html.markup import Markup, element, join, title, words
from waferloom.report.wording import device_noun
from waferloom.simulate.records import StepReport

_MAX_DIES: Final = 2048
"""Larger systems have the tables alone: their map would outweigh the rest of the file."""
_MAX_LABELLED: Final = 400


def wafer_map(plan: Plan, report: StepReport) -> Markup:
    """Return the map with its buttons and legends, and the busiest links as a table."""
    topology, links = report.links.topology, report.links
    if topology.num_dies > _MAX_DIES:
        note = f"{topology.num_dies:,} {device_noun(plan.system)}s are too many for a map."
        return join((element("p", words(note), css="note"), links_table(links)))
    layout = die_layout(plan.system, topology)
    shown = views(plan, report)
    drawing = element(
        "svg",
        title(f"Map of {plan.system.name}"),
        _panels(layout),
        link_lines(layout, links),
        _dies(plan, report, layout, shown),
        dead_links(plan.system, layout),
        attributes={
            "role": "img",
            "viewBox": f"0 0 {layout.width:g} {layout.height:g}",
            "style": f"max-width:{max(layout.width, 380.0) * 1.35:.0f}px",
        },
    )
    buttons = join(_button(view.key, view.name, is_on=i == 0) for i, view in enumerate(shown))
    buttons = join((buttons, _button("links", "Link load", is_on=False)))
    figure = element(
        "div",
        element("div", buttons, attributes={"role": "group", "aria-label": "View"}, css="buttons"),
        element("div", drawing, css="scroll"),
        join(_legend(view.key, view.explanation) for view in shown),
        link_legend(layout, links),
        attributes={"data-view": shown[0].key},
        css="map",
    )
    return join((figure, links_table(links)))


def _panels(layout: DieLayout) -> Markup:
    boxes: list[Markup] = []
    for panel in range(int(layout.panel_D.max()) + 1):
        inside = layout.panel_D == panel
        left, top = float(layout.x_D[inside].min()), float(layout.y_D[inside].min())
        right, bottom = float(layout.x_D[inside].max()), float(layout.y_D[inside].max())
        box = {
            "x": left - 10,
            "y": top - 10,
            "width": right - left + DIE + 20,
            "height": bottom - top + DIE + 20,
            "rx": 12.0,
        }
        boxes.append(element("rect", attributes=box, css="panel"))
    return element("g", join(boxes))


def _dies(plan: Plan, report: StepReport, layout: DieLayout, shown: Sequence[View]) -> Markup:
    topology = report.links.topology
    rank_of_die = {die: rank for rank, die in enumerate(plan.die_of_rank)}
    loads = _loads(report, layout)
    drawn: list[Markup] = []
    for die in range(topology.num_dies):
        name = f"{device_noun(plan.system)} ({topology.row_D[die]}, {topology.col_D[die]})"
        box = _box(layout, die)
        if not topology.is_live_D[die]:
            drawn.append(_dead_die(layout, die, name))
        elif die not in rank_of_die:
            parts = (title(f"{name}: not used"), element("rect", attributes=box))
            drawn.append(element("g", *parts, css="die idle"))
        else:
            rank = rank_of_die[die]
            labels = [(view.key, view.label(rank)) for view in shown]
            css, load = loads.get(die, ("", ""))
            if load:
                labels.append(("links", load))
            colours = ";".join(f"--{view.key}:{view.colour(rank)}" for view in shown)
            hover = f"{name}: {rank_words(rank, plan, report)}"
            parts = [
                title(hover + (f", busiest link {load} of the step" if load else "")),
                element("rect", attributes={**box, "style": colours}),
            ]
            if topology.num_dies <= _MAX_LABELLED:
                parts += _labels(layout, die, labels)
            stage = report.stages[rank // plan.strategy.degrees.ranks_per_stage]
            over = " over" if stage.memory.total > report.memory_capacity_bytes else ""
            drawn.append(element("g", *parts, css=f"die{over}{css}"))
    return element("g", join(drawn), css="dies")


def _loads(report: StepReport, layout: DieLayout) -> dict[int, tuple[str, str]]:
    """Return class and label of the dies whose links cannot be drawn."""
    links = report.links
    step_L, utilization_L = heat_steps(links), links.utilization_L
    return {
        die: (f" h{step_L[link]}", f"{100 * float(utilization_L[link]):.0f}%")
        for die, link in busiest_link_of_dies(layout, links).items()
    }


def _box(layout: DieLayout, die: int) -> dict[str, str | float]:
    x, y = float(layout.x_D[die]), float(layout.y_D[die])
    return {"x": x, "y": y, "width": DIE, "height": DIE, "rx": 6.0}


def _dead_die(layout: DieLayout, die: int, name: str) -> Markup:
    x, y = float(layout.x_D[die]), float(layout.y_D[die])
    cross = {"d": f"M{x + 14:g} {y + 14:g}l18 18m0-18l-18 18"}
    return element(
        "g",
        title(f"{name}: dead"),
        element("rect", attributes=_box(layout, die)),
        element("path", attributes=cross),
        css="die dead",
    )


def _labels(layout: DieLayout, die: int, labels: Sequence[tuple[str, str]]) -> list[Markup]:
    x, y = float(layout.x_D[die]) + DIE / 2, float(layout.y_D[die]) + DIE / 2
    place = {"x": x, "y": y}
    return [element("text", words(text), attributes=place, css=key) for key, text in labels]


def _button(key: str, name: str, *, is_on: bool) -> Markup:
    attributes = {"type": "button", "data-show": key, "aria-pressed": "true" if is_on else "false"}
    return element("button", words(name), attributes=attributes)


def _legend(key: str, text: str) -> Markup:
    return element("p", words(text), attributes={"data-for": key}, css="note")
