"""Latency against load, drawn as one SVG or PNG file."""

# pyright: reportUnknownMemberType=false
# (matplotlib's stubs leave keyword arguments untyped)

import math
from pathlib import Path
from typing import Final

from waferloom.errors import SpecError
from waferloom.report.html.markup import Markup, element, join, raw, title, words
from waferloom.report.network_plot import save_picture
from waferloom.studies.traffic_curve import LoadCurve, LoadPoint

_WIDTH, _HEIGHT = 640.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 24.0, 64.0, 56.0
_INK, _QUIET, _MEAN, _TAIL, _LIMIT = "#10151c", "#5a6675", "#3768c8", "#9a6fd0", "#b3102f"
_LATENCY_SPAN: Final = 40.0
"""How many times the lowest latency is still shown; beyond it a curve only says `saturated`."""


def save_load_plot(curve: LoadCurve, path: Path) -> None:
    """Draw a curve into a file; the file is complete or as it was before.

    Args:
        curve: What to draw.
        path: Ends in `.svg` or `.png`.

    Raises:
        SpecError: Another ending, a file that cannot be written, or PNG without matplotlib.
    """
    save_picture(path, svg=lambda: load_svg(curve), png=lambda: load_png(curve))


def load_svg(curve: LoadCurve) -> str:
    """Return mean latency and its 99th percentile over the accepted load, latency on a log scale.

    The dashed line is the most that links and ports allow.
    """
    low, high = _latency_range(curve)
    most = _most_rate(curve)

    def x(rate: float) -> float:
        return _LEFT + rate / most * (_WIDTH - _LEFT - _RIGHT)

    def y(latency: float) -> float:
        share = math.log(min(latency, high) / low) / math.log(high / low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def line(tail: bool, colour: str) -> Markup:
        places = [(x(p.accepted), y(_latency(p, tail)), p) for p in curve.points]
        drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in places)
        dots = [
            element(
                "g",
                title(f"offered {p.rate:.3g}, accepted {p.accepted:.3g}: {_latency(p, tail):.4g}"),
                element("circle", attributes={"cx": a, "cy": b, "r": 3.0, "fill": colour}),
            )
            for a, b, p in places
        ]
        path = {"points": drawn, "fill": "none", "stroke": colour, "stroke-width": 1.8}
        return element("g", element("polyline", raw(""), attributes=path), *dots)

    grid = [
        _tick(_LEFT - 8, y(value) + 4, f"{value:g}", "end", (_LEFT, _WIDTH - _RIGHT, y(value)))
        for value in _latency_ticks(low, high)
    ]
    grid += [
        _tick(x(value), _HEIGHT - _BOTTOM + 18, f"{value:g}", "middle", None)
        for value in _rate_ticks(most)
    ]
    limit = {
        "x1": x(curve.limit),
        "x2": x(curve.limit),
        "y1": _TOP,
        "y2": _HEIGHT - _BOTTOM,
        "stroke": _LIMIT,
        "stroke-dasharray": "5 4",
    }
    heading = f"{curve.pattern} on {curve.topology.name}, {curve.routing}"
    note = "blue: mean, purple: 99th percentile; dashed: what links and ports allow"
    axis = "accepted flits per die and cycle"
    body = join(
        (
            title(heading),
            element("style", raw("text{font-family:system-ui,sans-serif;font-size:12px}")),
            element("rect", attributes={"width": _WIDTH, "height": _HEIGHT, "fill": "#ffffff"}),
            _words(16, 24, heading, _INK, size=16),
            _words(16, 44, note, _QUIET),
            *grid,
            _words(_LEFT, _TOP - 6, "latency in cycles", _QUIET),
            _words((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, axis, _QUIET, anchor="middle"),
            element("line", attributes=limit),
            line(True, _TAIL),
            line(False, _MEAN),
        )
    )
    return element(
        "svg",
        body,
        attributes={
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_WIDTH:g} {_HEIGHT:g}",
            "width": _WIDTH,
            "height": _HEIGHT,
            "role": "img",
        },
    )


def load_png(curve: LoadCurve) -> bytes:
    """Return the same picture as PNG.

    Raises:
        SpecError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        msg = "PNG needs matplotlib: install waferloom[plot], or draw into an .svg file"
        raise SpecError(msg) from None
    from io import BytesIO

    figure = Figure(figsize=(6.4, 4.0), dpi=200)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    accepted = [point.accepted for point in curve.points]
    for tail, colour, label in ((False, _MEAN, "mean"), (True, _TAIL, "99th percentile")):
        latency = [_latency(point, tail) for point in curve.points]
        axes.plot(accepted, latency, "o-", color=colour, label=label, markersize=3)
    axes.axvline(curve.limit, color=_LIMIT, linestyle="--", label="links and ports allow")
    low, high = _latency_range(curve)
    axes.set(
        yscale="log",
        ylim=(low, high),
        xlim=(0, _most_rate(curve)),
        xlabel="accepted flits per die and cycle",
        ylabel="latency in cycles",
        title=f"{curve.pattern} on {curve.topology.name}, {curve.routing}",
    )
    axes.legend(frameon=False)
    figure.tight_layout()
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _latency(point: LoadPoint, tail: bool) -> float:
    return point.p99_latency_cycles if tail else point.latency_cycles


def _latency_range(curve: LoadCurve) -> tuple[float, float]:
    lowest = min(point.latency_cycles for point in curve.points)
    highest = max(point.p99_latency_cycles for point in curve.points)
    low = max(lowest * 0.8, 1.0)
    return low, max(min(highest * 1.2, low * _LATENCY_SPAN), low * 2)


def _most_rate(curve: LoadCurve) -> float:
    return 1.05 * max(curve.limit, *(point.accepted for point in curve.points))


def _latency_ticks(low: float, high: float) -> list[float]:
    return [v for e in range(7) for m in (1, 2, 5) if low <= (v := m * 10.0**e) <= high]


def _rate_ticks(most: float) -> list[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2) if most / s <= 10 or s == 0.2)
    return [round(step * i, 6) for i in range(int(most / step) + 1)]


def _tick(
    x: float, y: float, label: str, anchor: str, grid: tuple[float, float, float] | None
) -> Markup:
    text = _words(x, y, label, _QUIET, anchor=anchor)
    if grid is None:
        return text
    ends = {"x1": grid[0], "x2": grid[1], "y1": grid[2], "y2": grid[2], "stroke": "#dde2e9"}
    return element("g", element("line", attributes=ends), text)


def _words(
    x: float, y: float, content: str, colour: str, *, anchor: str = "start", size: int = 12
) -> Markup:
    attributes: dict[str, str | float] = {"x": x, "y": y, "fill": colour, "text-anchor": anchor}
    if size != 12:
        attributes["style"] = f"font-size:{size}px;font-weight:650"
    return element("text", words(content), attributes=attributes)
