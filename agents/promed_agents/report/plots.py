"""Plots as inline SVG that takes its colours from the page, so that it follows light, dark and print.

Every figure carries a title and a description for screen readers, and its numbers as a table. Lines differ in colour,
dash and marker, so that none of the three is needed alone.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from promed_agents.statistics import Calibration, wilson_interval

__all__ = ["Figure", "Line", "Table", "curve_plot", "interval_bar", "levels_plot", "reliability_plot"]

_STYLES = 8  # series styles in style.css: s0 to s7
_DASHES = ("", "8 4", "12 3 2 3", "4 3", "", "8 4", "12 3 2 3", "4 3")


@dataclass(frozen=True)
class Table:
    """Numbers to be read instead of a plot.

    Attributes:
        columns: Heads.
        rows: One text a column.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A plot.

    Attributes:
        svg: The picture, or several side by side.
        table: What it shows.
    """

    svg: tuple[str, ...]
    table: Table


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        name: Written beside its end.
        points: (x, y), in the order of x.
        style: Number of its colour, dash and marker.
        intervals: Lower and upper y of every point, or none.
        faint: Whether it stands behind the others, without a name.
        ends: Whether it keeps its last value up to the right edge.
        emphasis: (x, y, low, high) of a point to be marked with an interval, or None.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    style: int
    intervals: tuple[tuple[float, float], ...] = ()
    faint: bool = False
    ends: bool = False
    emphasis: tuple[float, float, float, float] | None = None


class _Frame:
    """A plotting area with axes, y from 0 to 1."""

    def __init__(
        self, ident: str, title: str, about: str, size: tuple[int, int], edges: tuple[int, int, int, int], right: float
    ) -> None:
        width, height = size
        self.top, self.right, self.bottom, self.left = edges
        self.width, self.height, self.most = width, height, right
        self.svg = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {width} {height}",
                "role": "img",
                "aria-labelledby": f"{ident}-title {ident}-about",
                "class": "plot",
                "style": f"--width: {width}px",
            },
        )
        self.add("title", title, id=f"{ident}-title")
        self.add("desc", about, id=f"{ident}-about")

    def x(self, value: float) -> float:
        return round(self.left + value / self.most * (self.width - self.left - self.right), 1)

    def y(self, value: float) -> float:
        return round(self.top + (1 - value) * (self.height - self.top - self.bottom), 1)

    def add(self, tag: str, text: str | None = None, /, **attributes: str | float) -> None:
        element = ElementTree.SubElement(
            self.svg, tag, {name.rstrip("_").replace("_", "-"): str(value) for name, value in attributes.items()}
        )
        element.text = text

    def axes(self, xs: Sequence[tuple[float, str]], ys: Sequence[float], label_x: str, label_y: str) -> None:
        low, end = self.y(0), self.x(self.most)
        for value in ys:
            self.add("line", class_="grid", x1=self.left, x2=end, y1=self.y(value), y2=self.y(value))
            self.add("text", f"{value:g}", class_="tick", x=self.left - 8, y=self.y(value) + 4, text_anchor="end")
        for place, text in xs:
            self.add("line", class_="axis", x1=self.x(place), x2=self.x(place), y1=low, y2=low + 4)
            self.add("text", text, class_="tick", x=self.x(place), y=low + 18, text_anchor="middle")
        self.add("line", class_="axis", x1=self.left, x2=end, y1=low, y2=low)
        self.add("text", label_x, class_="label", x=(self.left + end) / 2, y=low + 38, text_anchor="middle")
        self.add("text", label_y, class_="label", x=self.left - 34, y=self.top - 12)

    def path(self, points: Sequence[tuple[float, float]], style: int, class_: str = "line") -> None:
        steps = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        dash = {"stroke_dasharray": _DASHES[style % _STYLES]} if _DASHES[style % _STYLES] else {}
        self.add("polyline", class_=f"{class_} s{style % _STYLES}", points=steps, **dash)

    def marker(self, x: float, y: float, style: int, size: float = 4.5) -> None:
        """A circle, square, triangle or diamond, in the middle of the pixels x, y."""
        kind = f"marker s{style % _STYLES}"
        if style % 4 == 0:
            self.add("circle", class_=kind, cx=x, cy=y, r=size)
        else:
            corners = {
                1: ((-1, -1), (1, -1), (1, 1), (-1, 1)),
                2: ((0, -1.2), (1.15, 0.9), (-1.15, 0.9)),
                3: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
            }[style % 4]
            points = " ".join(f"{round(x + dx * size, 1)},{round(y + dy * size, 1)}" for dx, dy in corners)
            self.add("polygon", class_=kind, points=points)

    def whisker(self, x: float, low: float, high: float, style: int) -> None:
        """A vertical interval at the pixel x."""
        kind = f"whisker s{style % _STYLES}"
        self.add("line", class_=kind, x1=x, x2=x, y1=self.y(low), y2=self.y(high))
        for end in (low, high):
            self.add("line", class_=kind, x1=x - 4, x2=x + 4, y1=self.y(end), y2=self.y(end))

    def done(self) -> str:
        return ElementTree.tostring(self.svg, encoding="unicode")


def curve_plot(
    ident: str, title: str, about: str, label_x: str, lines: Sequence[Line], table: Table, whole: bool = False
) -> Figure:
    """Accuracy against something that grows.

    Args:
        ident: Prefix of the ids in the picture; unique in the page.
        title: For screen readers.
        about: What can be seen, in a sentence or two.
        label_x: Name of the horizontal axis.
        lines: What is drawn; those not faint are named at the right.
        table: The numbers.
        whole: Whether the horizontal axis counts in ones.
    """
    most = max((x for line in lines for x, _ in line.points), default=0.0)
    most = max([most, 1.0, *(line.emphasis[0] for line in lines if line.emphasis)])
    named = [line for line in lines if not line.faint]
    margin = min(270, 40 + 8 * max(len(_short(line.name)) for line in named))
    frame = _Frame(ident, title, about, (980, 400), (34, margin, 52, 52), most)
    frame.axes(_ticks(most, whole), (0, 0.25, 0.5, 0.75, 1), label_x, "accuracy")
    for line in sorted(lines, key=lambda line: not line.faint):
        frame.path(line.points, line.style, "line faint" if line.faint else "line")
        x, y = line.points[-1]
        if line.ends and x < most:
            frame.add(
                "line",
                class_=f"kept s{line.style % _STYLES}",
                x1=frame.x(x),
                x2=frame.x(most),
                y1=frame.y(y),
                y2=frame.y(y),
            )
        if line.faint:
            continue
        for place, (low, high) in zip(line.points, line.intervals, strict=bool(line.intervals)):
            frame.whisker(frame.x(place[0]), low, high, line.style)
        if len(line.points) <= 25:
            for x, y in line.points:
                frame.marker(frame.x(x), frame.y(y), line.style, 3)
    for line in named:
        if line.emphasis is not None:
            x, y, low, high = line.emphasis
            frame.whisker(frame.x(x), low, high, line.style)
            frame.marker(frame.x(x), frame.y(y), line.style, 6.5)
    heights = _apart([frame.y(line.points[-1][1]) for line in named], 16, frame.y(1) - 6, frame.y(0) + 4)
    for line, height in zip(named, heights, strict=True):
        edge = frame.x(most)
        frame.add(
            "line", class_="leader", x1=edge + 4, x2=edge + 14, y1=frame.y(line.points[-1][1]), y2=round(height, 1)
        )
        frame.marker(edge + 20, round(height, 1), line.style, 4)
        frame.add("text", _short(line.name), class_="name", x=edge + 29, y=round(height + 4, 1))
    return Figure((frame.done(),), table)


def reliability_plot(ident: str, rows: Sequence[tuple[str, int, Calibration]]) -> Figure:
    """Stated confidence against being right, a panel each for (name, style, calibration)."""
    panels, table = [], []
    for number, (name, style, found) in enumerate(rows):
        about = (
            f"{found.n} answers, Brier score {found.brier:.3f}, expected calibration error {found.ece:.3f}. "
            "A point above the diagonal means the doctor was right more often than it said."
        )
        frame = _Frame(f"{ident}-{number}", f"Calibration of {name}", about, (300, 376), (62, 14, 110, 46), 1.0)
        frame.marker(frame.left - 30, 12, style, 5)
        frame.add("text", _short(name), class_="name", x=frame.left - 18, y=16)
        ticks = [(0.0, ""), (0.5, ""), (1.0, "")]
        frame.axes(ticks, (0, 0.25, 0.5, 0.75, 1), "", "accuracy")
        frame.path(((0, 0), (1, 1)), 2, "diagonal")
        most = max(each.n for each in found.bins)
        floor = frame.height - 46
        for each in found.bins:
            x = frame.x(each.confidence)
            frame.whisker(x, *wilson_interval(round(each.accuracy * each.n), each.n), style)
            frame.marker(x, frame.y(each.accuracy), style, 5)
            tall = max(1.5, 38 * each.n / most)
            left, right = frame.x(each.low) + 1, frame.x(each.high) - 1
            frame.add(
                "rect",
                class_=f"count s{style % _STYLES}",
                x=left,
                y=round(floor - tall, 1),
                width=round(right - left, 1),
                height=round(tall, 1),
            )
            middle = (left + right) / 2
            frame.add("text", str(each.n), class_="small", x=middle, y=round(floor - tall - 3, 1), text_anchor="middle")
            span = f"{each.low:.1f} to {each.high:.1f}"
            table.append((name, span, str(each.n), f"{each.confidence:.3f}", f"{each.accuracy:.3f}"))
        frame.add("line", class_="axis", x1=frame.left, x2=frame.x(1), y1=floor, y2=floor)
        for share in (0, 0.5, 1):
            frame.add("text", f"{share:g}", class_="tick", x=frame.x(share), y=floor + 16, text_anchor="middle")
        middle = (frame.left + frame.x(1)) / 2
        frame.add("text", "stated confidence", class_="label", x=middle, y=floor + 36, text_anchor="middle")
        panels.append(frame.done())
    columns = ("doctor", "confidence", "answers", "mean confidence", "accuracy")
    return Figure(tuple(panels), Table(columns, tuple(table)))


def levels_plot(ident: str, rows: Sequence[tuple[str, dict[str, float]]]) -> Figure:
    """Accuracy by information level, a row each for (doctor, level -> accuracy)."""
    levels = ("none", "initial", "interactive", "full")
    shown = [level for level in levels if any(level in found for _, found in rows)]
    left = min(200, 24 + 8 * max(len(_short(name)) for name, _ in rows))
    height = 74 + 34 * len(rows)
    about = "One row a doctor: what it answers right with nothing told, from the presentation, by asking, and told all."
    frame = _Frame(ident, "Accuracy by information level", about, (980, height), (30, 24, 44, left), 1.0)
    place = frame.left
    for level in shown:
        frame.marker(place + 5, 10, _LEVEL_STYLES[level], 4.5)
        frame.add("text", level, class_="name", x=place + 15, y=14)
        place += 40 + 7 * len(level)
    low = height - 44
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        frame.add("line", class_="grid", x1=frame.x(share), x2=frame.x(share), y1=26, y2=low)
        frame.add("text", f"{share:g}", class_="tick", x=frame.x(share), y=low + 18, text_anchor="middle")
    frame.add("text", "accuracy", class_="label", x=(left + frame.x(1)) / 2, y=low + 36, text_anchor="middle")
    for number, (name, found) in enumerate(rows):
        y = 46 + 34 * number
        frame.add("text", _short(name), class_="name", x=left - 14, y=y + 4, text_anchor="end")
        ends = [found[level] for level in shown if level in found]
        frame.add("line", class_="span", x1=frame.x(min(ends)), x2=frame.x(max(ends)), y1=y, y2=y)
        if "initial" in found and "interactive" in found:
            pair = (frame.x(found["initial"]), frame.x(found["interactive"]))
            frame.add("line", class_="gained", x1=pair[0], x2=pair[1], y1=y, y2=y)
        for level in ("full", "none", "initial", "interactive"):
            if level in found:
                frame.marker(frame.x(found[level]), y, _LEVEL_STYLES[level], 7 if level == "initial" else 5)
    table = tuple(
        (name, *(f"{found[level]:.3f}" if level in found else "-" for level in shown)) for name, found in rows
    )
    return Figure((frame.done(),), Table(("doctor", *shown), table))


def interval_bar(value: float, low: float, high: float) -> str:
    """A small bar with an interval, 0 to 1, to stand beside its numbers; not for screen readers."""
    svg = ElementTree.Element("svg", {"viewBox": "0 0 120 14", "class": "interval", "aria-hidden": "true"})

    def line(kind: str, x1: float, x2: float, y1: float, y2: float) -> None:
        places = zip(("x1", "x2", "y1", "y2"), (x1, x2, y1, y2), strict=True)
        ElementTree.SubElement(svg, "line", {"class": kind, **{name: str(round(at, 1)) for name, at in places}})

    def at(share: float) -> float:
        return 6 + 108 * share

    line("track", at(0), at(1), 7, 7)
    for share in (0, 1):
        line("track", at(share), at(share), 4, 10)
    line("reach", at(low), at(high), 7, 7)
    ElementTree.SubElement(svg, "circle", {"class": "mean", "cx": str(round(at(value), 1)), "cy": "7", "r": "4"})
    return ElementTree.tostring(svg, encoding="unicode")


_LEVEL_STYLES = {"none": 2, "initial": 1, "interactive": 0, "full": 3}


def _short(name: str) -> str:
    """A name cut to what fits beside a plot; the table has all of it."""
    return name if len(name) <= 28 else f"{name[:13]}…{name[-14:]}"


def _ticks(most: float, whole: bool) -> list[tuple[float, str]]:
    """About six round values from 0 to `most`."""
    rough = most / 6
    unit = 10 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * 0.999)
    step = max(1.0, math.ceil(step)) if whole else step
    return [(number * step, _si(number * step)) for number in range(int(most / step + 1e-9) + 1)]


def _si(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _apart(heights: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Heights as near to the given ones as a greedy sweep gets, `gap` apart and, if they fit, inside the frame."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = [heights[index] for index in order]
    for below, _ in enumerate(placed):
        placed[below] = max(placed[below], top if below == 0 else placed[below - 1] + gap)
    if placed and placed[-1] > bottom:
        placed[-1] = bottom
        for upper, lower in reversed(list(pairwise(range(len(placed))))):
            placed[upper] = min(placed[upper], placed[lower] - gap)
    found = [0.0] * len(heights)
    for index, height in zip(order, placed, strict=True):
        found[index] = height
    return found
