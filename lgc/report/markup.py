"""HTML and SVG as text: elements, escaping, numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape


def tag(name: str, *inner: str, **attributes: object) -> str:
    """Return an element.

    Args:
        name: of the element.
        *inner: markup inside; text must have gone through `text`.
        **attributes: `class_` stands for class, other underscores for hyphens; None leaves one out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = number(value) if isinstance(value, float) else str(value)
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    opened = " ".join(words)
    return f"<{opened}/>" if not inner and name in _EMPTY else f"<{opened}>{''.join(inner)}</{name}>"


_EMPTY = {"rect", "path", "line", "circle", "col", "meta", "use", "polyline"}
"""Elements that need no end."""


def text(value: object) -> str:
    """Escape text."""
    return escape(str(value))


def number(value: float) -> str:
    """Return a number with at most three decimals, as short as it can be."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def svg(
    width: float, height: float, label: str, *inner: str, stretch: bool = False, **attributes: object
) -> str:
    """Return a picture with its own coordinates.

    Args:
        width: of the coordinates.
        height: of the coordinates.
        label: what it shows, for those who cannot see it.
        *inner: its elements.
        stretch: let it take any shape that the style gives it.
        **attributes: further ones, as `tag` takes them.
    """
    return tag(
        "svg",
        *inner,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=label,
        preserveAspectRatio="none" if stretch else None,
        **attributes,
    )


def table(
    head: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    numbers: int = 0,
    class_: str = "",
    marked: Collection[int] = (),
) -> str:
    """Return a table of markup.

    Args:
        head: of the columns; no heading row if all are empty.
        rows: cells.
        numbers: so many columns from the right are numbers.
        class_: for the style.
        marked: rows that stand out.
    """
    first = len(head) - numbers

    def row(kind: str, cells: tuple[str, ...], number: int = -1) -> str:
        shown = (tag(kind, c, class_="n" if at >= first else None) for at, c in enumerate(cells))
        return tag("tr", *shown, class_="ours" if number in marked else None)

    top = tag("thead", row("th", head)) if any(head) else ""
    whole = tag(
        "table",
        top,
        tag("tbody", *(row("td", cells, at) for at, cells in enumerate(rows))),
        class_=class_ or None,
    )
    return tag("div", whole, class_="scroll")
