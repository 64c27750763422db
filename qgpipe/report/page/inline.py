"""Figures as inline SVG: with text, colours of the page, and unique ids."""

import io
import re

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from qgpipe.report.figures import style

# Custom properties of page.css, each with a light and a dark value.
_COLOURS = {
    style.SETS["train"]: "--train",
    style.SETS["validation"]: "--validation",
    style.SETS["test"]: "--test",
    style.ALL_SETS: "--all-sets",
    style.WRONG: "--wrong",
    style.GREY: "--axis",
    style.GRID: "--grid",
    style.DASHED["color"]: "--ink",
    "#000000": "--ink",
    "#FFFFFF": "--surface",
}


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """``figure`` as an ``svg`` element for HTML.

    ``name``: unique among the figures of the page; ``label``: text for screen readers. The element
    keeps its proportions; its width is at most that of ``figure``.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", dpi=144, metadata={"Date": None})
    text = buffer.getvalue()
    width, height = (
        float(value) for value in re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    )
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    for colour, variable in _COLOURS.items():
        body = re.sub(rf"{colour}\b", f"var({variable})", body, flags=re.I)
    body = re.sub(r"font: ([\d.]+px) 'DejaVu Sans'", r"font-size: \1", body)
    # In paths, hundredths of points are enough.
    body = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    start = Markup(
        '<svg viewBox="0 0 {:g} {:g}" style="--drawn: {:g}pt" role="img" aria-label="{}">'
    )
    return start.format(width, height, width, label) + Markup(body)
