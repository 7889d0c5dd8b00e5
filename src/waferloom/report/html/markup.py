"""Building blocks of HTML and SVG: elements with escaped text, tables, lists, colours."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NewType

Markup = NewType("Markup", str)
"""Text that is HTML already; everything else is escaped on its way in."""


def element(
    tag: str,
    *children: str | Markup,
    attributes: Mapping[str, str | float] | None = None,
    css: str = "",
) -> Markup:
    """Return an element.

    Args:
        tag: Its name.
        children: Text, which is escaped, and markup, which is not, see `join`.
        attributes: Name -> value; numbers are rounded to what a screen can show.
        css: Class names.

    Example:
        >>> element("p", raw("<b>1 &lt; 2</b>"), css="note")
        '<p class="note"><b>1 &lt; 2</b></p>'
    """
    listed = {**({"class": css} if css else {}), **(attributes or {})}
    written = "".join(f' {name}="{_value(value)}"' for name, value in listed.items())
    content = "".join(children)
    if not content and tag in ("rect", "line", "path", "circle", "use"):
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{content}</{tag}>")


def raw(text: str) -> Markup:
    """Mark text as HTML."""
    return Markup(text)


def words(text: str) -> Markup:
    """Escape text."""
    return Markup(escape(text))


def join(parts: Iterable[Markup], separator: str = "") -> Markup:
    """Put markup in a row."""
    return Markup(separator.join(parts))


def table(
    header: Sequence[str], rows: Iterable[Sequence[Markup]], *, text_columns: int = 1
) -> Markup:
    """Return a table that scrolls sideways where it is too wide; its numbers are right-aligned.

    Args:
        header: One name per column.
        rows: One cell per column.
        text_columns: How many columns, from the first, are text.
    """

    def css(column: int) -> str:
        return "" if column < text_columns else "number"

    head = join(
        element("th", words(name), attributes={"scope": "col"}, css=css(i))
        for i, name in enumerate(header)
    )
    body = join(
        element("tr", join(element("td", cell, css=css(i)) for i, cell in enumerate(row)))
        for row in rows
    )
    inner = element("table", element("thead", element("tr", head)), element("tbody", body))
    return element("div", inner, css="scroll")


def facts(pairs: Iterable[tuple[str, Markup]]) -> Markup:
    """Return a list of names and values."""
    rows = (element("div", element("dt", words(k)), element("dd", v)) for k, v in pairs)
    return element("dl", join(rows), css="facts")


def section(identity: str, title: str, *body: Markup, note: str = "", css: str = "") -> Markup:
    """Return a section with a heading that can be linked to."""
    heading = element("h2", words(title), attributes={"id": f"{identity}-title"})
    below = element("p", words(note), css="note") if note else raw("")
    return element(
        "section",
        heading,
        *body,
        below,
        attributes={"id": identity, "aria-labelledby": f"{identity}-title"},
        css=f"card {css}".strip(),
    )


def title(text: str) -> Markup:
    """Return what hovering over an SVG element shows."""
    return element("title", words(text))


def ink_on(colour: str) -> str:
    """Return the colour of text that reads well on `colour` (`#rrggbb`).

    The choice with the larger contrast ratio of the Web Content Accessibility Guidelines 2.1.

    Example:
        >>> ink_on("#ffffff"), ink_on("#123456")
        ('#10151c', '#ffffff')
    """
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    dark_luminance = 0.0073  # of #10151c
    against_white = 1.05 / (luminance + 0.05)
    against_dark = (luminance + 0.05) / (dark_luminance + 0.05)
    return "#ffffff" if against_white > against_dark else "#10151c"


def _value(value: str | float) -> str:
    return f"{value:.6g}" if isinstance(value, float | int) else escape(value)
