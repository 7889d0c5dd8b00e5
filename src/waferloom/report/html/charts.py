"""Bars as inline SVG: parts of a whole, memory against capacity, bounds against the step.

Widths are percentages, so a bar fits any screen without distorting its text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from waferloom.report.html.markup import Markup, element, ink_on, join, raw, table, title, words
from waferloom.report.wording import MEMORY_LABELS, num_bytes, share
from waferloom.simulate.records import EnergyPart, StageReport, TimePart

TIME_COLOURS: Final = {
    TimePart.FORWARD: "#4c86d8",
    TimePart.BACKWARD: "#2c559f",
    TimePart.RECOMPUTE: "#9cc0f0",
    TimePart.TP: "#e08a3c",
    TimePart.CP: "#e3c04f",
    TimePart.EP: "#b9523a",
    TimePart.PP: "#c98bc4",
    TimePart.DP: "#7d56bd",
    TimePart.CONTENTION: "#b42f47",
    TimePart.BUBBLE: "#b3bcc8",
    TimePart.OPTIMIZER: "#3f9069",
    TimePart.STRAGGLERS: "#8a7f6d",
}
ENERGY_COLOURS: Final = {
    EnergyPart.COMPUTE: "#4c86d8",
    EnergyPart.SRAM: "#9cc0f0",
    EnergyPart.NOC: "#57a89a",
    EnergyPart.DRAM: "#7d56bd",
    EnergyPart.NETWORK: "#e08a3c",
    EnergyPart.STATIC: "#b3bcc8",
}
MEMORY_COLOURS: Final = {
    "weights": "#2c559f",
    "gradients": "#4c86d8",
    "optimizer": "#7d56bd",
    "activations": "#3f9069",
    "recompute": "#8fc9ab",
    "buffers": "#e08a3c",
}
_LABEL_SHARE: Final = 0.09
"""A segment of at least this share of the bar is labelled inside."""
_SAME_MEMORY: Final = 1e-3
_MAX_MEMORY_ROWS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar.

    Attributes:
        label: What it is.
        value: How much, as text.
        share: Of the whole.
        colour: As `#rrggbb`.
        is_hatched: Drawn with stripes: time in which nothing happens.
    """

    label: str
    value: str
    share: float
    colour: str
    is_hatched: bool = False


def stacked_bar(segments: Sequence[Segment], *, name: str, unit: str) -> Markup:
    """Return a stacked bar and, below it, the table of its parts, which is its legend."""
    drawn: list[Markup] = []
    left = 0.0
    for segment in segments:
        drawn.append(_segment(segment, left))
        left += segment.share
    bar = element(
        "svg",
        title(name),
        join(drawn),
        attributes={"role": "img", "height": 44.0, "width": "100%"},
        css="bar",
    )
    rows = (
        (
            join((_swatch(segment), words(segment.label))),
            words(segment.value),
            words(share(segment.share)),
        )
        for segment in segments
    )
    return join((bar, table(("part", unit, "share"), rows)))


def memory_bars(stages: Sequence[StageReport], capacity_bytes: float) -> Markup:
    """Return the memory of a die of every pipeline rank against its capacity, with a legend."""
    fullest = max(stage.memory.total for stage in stages)
    scale = max(capacity_bytes, fullest)
    rows = [_memory_row(tuple(same), scale, capacity_bytes, len(stages)) for same in _runs(stages)]
    legend = join(
        element("li", _square(MEMORY_COLOURS[name]), words(label))
        for name, label in MEMORY_LABELS.items()
        if any(getattr(stage.memory, name) > 0 for stage in stages)
    )
    capacity = element("li", element("i", css="capacity-mark"), words("capacity of a die"))
    shown = element("div", join(rows[:_MAX_MEMORY_ROWS]), css="memory-rows")
    hidden = rows[_MAX_MEMORY_ROWS:]
    if hidden:
        summary = element("summary", words(f"{len(hidden)} more rows"))
        more = element("div", join(hidden), css="memory-rows")
        shown = join((shown, element("details", summary, more)))
    return join((shown, element("ul", legend, capacity, css="legend")))


def comparison_bars(rows: Iterable[tuple[Markup, float, str, str]], *, colour: str) -> Markup:
    """Return one labelled bar per row.

    Args:
        rows: Label, length from 0 to 1, value as text, and what hovering shows.
        colour: Of all bars.
    """
    lines = (
        element(
            "div",
            element("span", label, css="bar-label"),
            element(
                "svg",
                title(hover),
                element(
                    "rect", attributes={"width": "100%", "height": "100%", "rx": 3.0}, css="track"
                ),
                element(
                    "rect",
                    attributes={
                        "width": f"{100 * min(length, 1.0):.2f}%",
                        "height": "100%",
                        "rx": 3.0,
                        "fill": colour,
                    },
                ),
                attributes={"role": "img", "height": 14.0, "width": "100%"},
            ),
            element("span", words(value), css="number"),
            css="bar-row",
        )
        for label, length, value, hover in rows
    )
    return element("div", join(lines), css="bar-rows")


def hatch_definition() -> Markup:
    """Return the stripes that mark what is idle or too much, whatever the colour beneath."""
    stripe = raw(
        '<svg width="0" height="0" aria-hidden="true" focusable="false"><defs>'
        '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="2.5" height="6" fill="#10151c" '
        'fill-opacity="0.28"/></pattern></defs></svg>'
    )
    return stripe


def _segment(segment: Segment, left: float) -> Markup:
    box = {
        "x": f"{100 * left:.3f}%",
        "width": f"{100 * segment.share:.3f}%",
        "height": "100%",
    }
    parts = [
        title(f"{segment.label}: {segment.value}, {share(segment.share)}"),
        element("rect", attributes={**box, "fill": segment.colour}),
    ]
    if segment.is_hatched:
        parts.append(element("rect", attributes={**box, "fill": "url(#hatch)"}))
    if segment.share >= _LABEL_SHARE:
        middle = f"{100 * (left + segment.share / 2):.3f}%"
        place = {"x": middle, "y": "50%", "fill": ink_on(segment.colour)}
        parts.append(element("text", words(share(segment.share)), attributes=place))
    return element("g", *parts)


def _swatch(segment: Segment) -> Markup:
    css = "swatch hatched" if segment.is_hatched else "swatch"
    return element("i", attributes={"style": f"background-color:{segment.colour}"}, css=css)


def _square(colour: str) -> Markup:
    return element("i", attributes={"style": f"background-color:{colour}"}, css="swatch")


def _runs(stages: Sequence[StageReport]) -> Iterable[list[StageReport]]:
    """Yield consecutive pipeline ranks that hold the same, to a thousandth."""

    def key(stage: StageReport) -> tuple[int, ...]:
        unit = _SAME_MEMORY * max(stage.memory.total, 1.0)
        return tuple(round(getattr(stage.memory, name) / unit) for name in MEMORY_LABELS)

    return (list(same) for _, same in groupby(stages, key))


def _memory_row(
    same: Sequence[StageReport], scale: float, capacity_bytes: float, num_stages: int
) -> Markup:
    memory = same[0].memory
    first, last = same[0].stage.rank, same[-1].stage.rank
    name = "every die" if len(same) == num_stages else f"rank {first}"
    if 1 < len(same) < num_stages:
        name = f"ranks {first}-{last}"
    drawn: list[Markup] = []
    left = 0.0
    for category, label in MEMORY_LABELS.items():
        size = getattr(memory, category)
        if size <= 0:
            continue
        box = {
            "x": f"{100 * left / scale:.3f}%",
            "width": f"{100 * size / scale:.3f}%",
            "height": "100%",
            "fill": MEMORY_COLOURS[category],
        }
        text = f"{name}, {label}: {num_bytes(size)}, {share(size / capacity_bytes)} of capacity"
        drawn.append(element("g", title(text), element("rect", attributes=box)))
        left += size
    is_over = memory.total > capacity_bytes
    if is_over:
        box = {
            "x": f"{100 * capacity_bytes / scale:.3f}%",
            "width": f"{100 * (memory.total - capacity_bytes) / scale:.3f}%",
            "height": "100%",
        }
        text = f"{name}: {num_bytes(memory.total - capacity_bytes)} too much"
        over = element("rect", title(text), attributes={**box, "fill": "url(#hatch)"})
        drawn.append(over)
        drawn.append(element("rect", attributes=box, css="too-much"))
    # a line has no percentages of its own height, so the mark is a thin rectangle
    mark = {"x": f"{100 * capacity_bytes / scale:.3f}%", "width": 2.0, "height": "100%"}
    shift = {"transform": "translate(-2 0)"}
    drawn.append(element("rect", attributes={**mark, **shift}, css="capacity"))
    bar = element(
        "svg",
        title(f"{name}: {num_bytes(memory.total)} of {num_bytes(capacity_bytes)}"),
        element("rect", attributes={"width": "100%", "height": "100%"}, css="track"),
        join(drawn),
        attributes={"role": "img", "height": 20.0, "width": "100%"},
    )
    value = num_bytes(memory.total)
    if is_over:
        value += f", {num_bytes(memory.total - capacity_bytes)} too much"
    return element(
        "div",
        element("span", words(name), css="bar-label"),
        bar,
        element("span", words(value), css="number bad" if is_over else "number"),
        css="bar-row",
    )
