"""A network and the load of its links, as one SVG or PNG file."""

# pyright: reportUnknownMemberType=false
# (matplotlib's stubs leave keyword arguments untyped)

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from waferloom.errors import SpecError
from waferloom.report.html.die_layout import DIE, DieLayout, die_layout, drawn_links
from waferloom.report.html.link_map import (
    HEAT_STEPS,
    busiest_link_of_dies,
    dead_links,
    heat_steps,
    link_lines,
    node_name,
)
from waferloom.report.html.markup import Markup, element, ink_on, join, raw, title, words
from waferloom.report.wording import device_noun, num_bytes, percent, plural, seconds, share
from waferloom.simulate.records import LinkLoads
from waferloom.studies.collective_run import CollectiveRun

HEAT: Final = (
    "#dde2e9",
    "#cfd9ea",
    "#a9c3ea",
    "#7fa8e6",
    "#6a8fe0",
    "#9a6fd0",
    "#c2549c",
    "#d43f63",
    "#b3102f",
)
"""Colours from an idle link to the busiest, those of the pages."""
_INK, _PAPER, _DIE_FILL, _MEMBER_FILL = "#10151c", "#ffffff", "#eef1f5", "#d5deec"
_HEAD: Final = 58.0
_FOOT: Final = 44.0
_NARROWEST: Final = 420.0
_PIXELS_PER_UNIT: Final = 2.0


def save_link_plot(run: CollectiveRun, path: Path) -> None:
    """Draw a collective into a file; the file is complete or as it was before.

    Args:
        run: What to draw.
        path: Ends in `.svg` or `.png`.

    Raises:
        SpecError: Another ending, a file that cannot be written, or PNG without matplotlib.
    """
    save_picture(path, svg=lambda: link_svg(run), png=lambda: link_png(run))


def save_picture(path: Path, *, svg: Callable[[], str], png: Callable[[], bytes]) -> None:
    """Write a picture in the format that the file's name ends in, complete or not at all.

    Args:
        path: Ends in `.svg` or `.png`.
        svg: Returns the one.
        png: Returns the other.

    Raises:
        SpecError: Another ending, or a file that cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        msg = f"cannot draw into {path}: end its name in .svg or .png"
        raise SpecError(msg)
    content = svg().encode("utf-8") if suffix == ".svg" else png()
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}; name another file"
        raise SpecError(msg) from None


def link_svg(run: CollectiveRun) -> str:
    """Return the network as a picture that needs nothing else."""
    layout, links = die_layout(run.system, run.topology), _loads(run)
    width, height = max(layout.width, _NARROWEST), layout.height + _HEAD + _FOOT
    caption = _caption(run)
    body = join(
        (
            title(caption[0]),
            element("style", raw(_style())),
            element("rect", attributes={"width": width, "height": height, "fill": _PAPER}),
            _text(16, 24, caption[0], "head"),
            _text(16, 44, caption[1], "note"),
            element(
                "g",
                _dies(run, layout, links),
                link_lines(layout, links, period=run.kind.value),
                dead_links(run.system, layout),
                attributes={"transform": f"translate(0 {_HEAD:g})"},
            ),
            _legend(links, height - 26),
        )
    )
    return element(
        "svg",
        body,
        attributes={
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width:g} {height:g}",
            "width": width,
            "height": height,
            "role": "img",
        },
    )


def link_png(run: CollectiveRun) -> bytes:
    """Return the same picture as PNG.

    Raises:
        SpecError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.collections import LineCollection, PatchCollection
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError:
        msg = "PNG needs matplotlib: install waferloom[plot], or draw into an .svg file"
        raise SpecError(msg) from None
    from io import BytesIO

    layout, links = die_layout(run.system, run.topology), _loads(run)
    step_L = heat_steps(links)
    width, height = max(layout.width, _NARROWEST), layout.height + _HEAD + _FOOT
    scale = 72.0
    figure = Figure(figsize=(width / scale, height / scale), dpi=scale * _PIXELS_PER_UNIT)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height - _HEAD, -_HEAD))
    axes.axis("off")
    fills = _die_fills(run, layout, links)
    squares = [
        Rectangle((float(layout.x_D[die]), float(layout.y_D[die])), DIE, DIE) for die in fills
    ]
    axes.add_collection(
        PatchCollection(squares, facecolor=list(fills.values()), edgecolor="#b6bfcc")
    )
    drawn = drawn_links(layout, run.topology)
    order = drawn[np.argsort(step_L[drawn], kind="stable")]  # hot ones on top
    axes.add_collection(
        LineCollection(
            [_ends(layout, run, int(link)) for link in order],
            colors=[HEAT[step] for step in step_L[order]],
            linewidths=[_stroke(int(step)) for step in step_L[order]],
        )
    )
    caption = _caption(run)
    axes.text(16, 24 - _HEAD, caption[0], fontsize=12, fontweight="bold", color=_INK)
    axes.text(16, 44 - _HEAD, caption[1], fontsize=8.5, color="#5a6675")
    axes.text(16, height - _HEAD - 20, _scale_words(links), fontsize=8.5, color="#5a6675")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", facecolor=_PAPER)
    return buffer.getvalue()


def _loads(run: CollectiveRun) -> LinkLoads:
    duration_s = run.shown.duration_s
    return LinkLoads(
        topology=run.topology,
        bytes_L=run.link_bytes_L,
        step_s=duration_s if duration_s > 0 else 1.0,  # nothing moves then
    )


def _caption(run: CollectiveRun) -> tuple[str, str]:
    noun = device_noun(run.system)
    groups = run.groups_GN.shape[0]
    who = plural(run.num_members, noun)
    who = who if groups == 1 else f"{plural(groups, 'group')} of {who}"
    return (
        f"{run.kind.value} of {num_bytes(run.size_bytes)} on {run.system.name}",
        f"{who}, {run.shown.algorithm}: {seconds(run.shown.duration_s)} ({run.shown.network})",
    )


def _dies(run: CollectiveRun, layout: DieLayout, links: LinkLoads) -> Markup:
    drawn: list[Markup] = []
    busiest = busiest_link_of_dies(layout, links)
    for die, fill in _die_fills(run, layout, links).items():
        hover = f"die {die} {node_name(run.topology, die)}"
        if die in busiest:
            hover += f": its busiest link is busy {share(float(links.utilization_L[busiest[die]]))}"
        x, y = float(layout.x_D[die]), float(layout.y_D[die])
        box = {"x": x, "y": y, "width": DIE, "height": DIE, "rx": 5.0, "fill": fill}
        label = _text(x + DIE / 2, y + DIE / 2 + 4, str(die), "die", ink=ink_on(fill))
        drawn.append(element("g", title(hover), element("rect", attributes=box), label))
    return join(drawn)


def _die_fills(run: CollectiveRun, layout: DieLayout, links: LinkLoads) -> dict[int, str]:
    """Return the colour of every live die: of a member, or, without drawn links, of its busiest."""
    members = set(run.groups_GN[run.groups_GN >= 0].tolist())
    step_L, busiest = heat_steps(links), busiest_link_of_dies(layout, links)
    fills: dict[int, str] = {}
    for die in np.flatnonzero(run.topology.is_live_D).tolist():
        if die in busiest:
            fills[die] = HEAT[int(step_L[busiest[die]])]
        else:
            fills[die] = _MEMBER_FILL if die in members else _DIE_FILL
    return fills


def _ends(
    layout: DieLayout, run: CollectiveRun, link: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return where a link is drawn: to the right of its direction, as on the pages."""
    source = int(run.topology.source_L[link])
    destination = int(run.topology.destination_L[link])
    dx = float(np.sign(layout.x_D[destination] - layout.x_D[source]))
    dy = float(np.sign(layout.y_D[destination] - layout.y_D[source]))
    aside = DIE / 8
    return (
        (
            float(layout.x_D[source]) + (1 + dx) * DIE / 2 - dy * aside,
            float(layout.y_D[source]) + (1 + dy) * DIE / 2 + dx * aside,
        ),
        (
            float(layout.x_D[destination]) + (1 - dx) * DIE / 2 - dy * aside,
            float(layout.y_D[destination]) + (1 - dy) * DIE / 2 + dx * aside,
        ),
    )


def _stroke(step: int) -> float:
    return 1.0 + 0.5 * step


def _scale_words(links: LinkLoads) -> str:
    peak = float(links.utilization_L.max(initial=0.0))
    return f"colours run from idle to busy {percent(peak)} of the time"


def _legend(links: LinkLoads, top: float) -> Markup:
    ramp = [
        element(
            "rect",
            attributes={
                "x": 16.0 + 20 * step,
                "y": top,
                "width": 20.0,
                "height": 10.0,
                "fill": HEAT[step],
            },
        )
        for step in range(HEAT_STEPS)
    ]
    peak = float(links.utilization_L.max(initial=0.0))
    note = f"idle to busy {share(peak)} of the time"
    return join((*ramp, _text(28 + 20 * HEAT_STEPS, top + 9, note, "note")))


def _text(x: float, y: float, content: str, css: str, *, ink: str = "") -> Markup:
    attributes: dict[str, str | float] = {"x": x, "y": y}
    if ink:
        attributes["fill"] = ink
    return element("text", words(content), attributes=attributes, css=css)


def _style() -> str:
    heat = "".join(
        f".links .h{step}{{stroke:{colour};stroke-width:{_stroke(step) * 1.5:g}}}"
        for step, colour in enumerate(HEAT)
    )
    return (
        "text{font-family:system-ui,sans-serif;fill:#10151c}.head{font-size:16px;font-weight:650}"
        ".note{font-size:12px;fill:#5a6675}.die{font-size:12px;text-anchor:middle}"
        f".dead-link path{{stroke:#b3102f;stroke-width:2.5;fill:none}}{heat}"
    )
