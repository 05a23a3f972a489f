"""Plots the scaling over the device count: images/s beside the ideal, and efficiency."""

from collections.abc import Sequence
from math import floor, log10
from typing import Any

import plotly.graph_objects as go
from plotly.io import to_html

from sdbench.api.benchmark import Benchmark
from sdbench.api.status import PointRow
from sdbench.core.format import percent
from sdbench.report.answers import number, rows, variant

COLOURS = ("#1a56b0", "#c2410c", "#0f766e", "#7e22ce", "#a16207", "#be123c", "#4d7c0f", "#334155")
INK, FAINT = "#1f2937", "#e5e7eb"
IDEAL = "#9ca3af"
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK}

Series = tuple[str, tuple[PointRow, ...]]
"""The values that a sweep varies, and their Points by device count."""


def series(benchmark: Benchmark) -> tuple[Series, ...]:
    """The Points, grouped by everything but their device count."""
    named: dict[str, list[PointRow]] = {}
    for row in rows(benchmark):
        named.setdefault(variant(row.point), []).append(row)
    return tuple((name, tuple(points)) for name, points in named.items())


def rate_figure(benchmark: Benchmark) -> go.Figure:
    """Images/s over devices, both logarithmic: ideal scaling is a straight line of slope 1."""
    figure = _figure(benchmark, "Images per second")
    for index, (name, points) in enumerate(series(benchmark)):
        intervals = [(row.interval_low, row.interval_high) for row in points]
        halves = [0.0 if low is None or high is None else float(high - low) / 2 for low, high in intervals]
        trace = _trace(name, points, [float(row.images_per_second) for row in points], index)
        trace.update(
            mode="lines+markers",
            error_y={"type": "data", "array": halves, "color": trace.line.color, "thickness": 1.2},
            text=[number(row.images_per_second) for row in points],
            hovertemplate="%{x:,} devices: %{text} images/s<extra></extra>",
        )
        figure.add_trace(_ideal(points, shown=index == 0))
        figure.add_trace(trace)
    ticks = _ticks([value for trace in figure.data for value in trace.y])
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,.4g}" for tick in ticks])
    return figure


def efficiency_figure(benchmark: Benchmark) -> go.Figure:
    """Scaling efficiency over devices; values above 100 % are shown as they are."""
    figure = _figure(benchmark, "Scaling efficiency")
    figure.add_hline(y=1, line={"color": IDEAL, "dash": "dash", "width": 1.5})
    highest = 1.0
    for index, (name, points) in enumerate(series(benchmark)):
        values = [float(row.scaling_efficiency) for row in points]
        highest = max(highest, *values)
        trace = _trace(name, points, values, index)
        trace.update(
            # The texts of several series, or of many Points, would overlap.
            mode="lines+markers+text" if len(points) <= 8 and not name else "lines+markers",
            text=[percent(row.scaling_efficiency) for row in points],
            textposition="bottom center",
            cliponaxis=False,
            hovertemplate="%{x:,} devices: %{y:.1%}<extra></extra>",
        )
        figure.add_trace(trace)
    figure.update_yaxes(tickformat=".0%", range=[0, highest * 1.12])
    return figure


def _trace(name: str, points: tuple[PointRow, ...], values: list[float], index: int) -> go.Scatter:
    return go.Scatter(
        x=[row.devices for row in points],
        y=values,
        name=name or "measured",
        line={"color": COLOURS[index % len(COLOURS)], "width": 2.5},
        marker={"size": 8},
    )


def figure_html(figure: go.Figure, name: str) -> str:
    """The figure as a fragment for a page that contains plotly.js."""
    config = {"displayModeBar": False, "responsive": True}
    fragment = {"full_html": False, "include_plotlyjs": False, "default_height": "100%"}
    return str(to_html(figure, div_id=name, config=config, **fragment))


def _ideal(points: tuple[PointRow, ...], shown: bool) -> go.Scatter:
    """The rate per device of the smallest count, times the device count."""
    each = float(points[0].images_per_second_per_device)
    counts = [row.devices for row in points]
    return go.Scatter(
        x=counts,
        y=[each * count for count in counts],
        name="ideal",
        legendgroup="ideal",
        showlegend=shown,
        mode="lines",
        line={"color": IDEAL, "dash": "dash", "width": 1.5},
        hovertemplate="ideal: %{y:,.4~g}<extra></extra>",
    )


def _ticks(rates: Sequence[float]) -> list[float]:
    """Round numbers between the smallest and the largest rate: decades, or finer steps if those are fewer than four."""
    lowest, highest = min(rates) / 1.2, max(rates) * 1.2
    for digits in ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)):
        decades = range(floor(log10(lowest)), floor(log10(highest)) + 1)
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        within = [tick for tick in ticks if lowest <= tick <= highest]
        if len(within) >= 4:
            break
    return within


def _figure(benchmark: Benchmark, title: str) -> go.Figure:
    counts = sorted({row.devices for row in benchmark.status.points})
    axis: dict[str, Any] = {"gridcolor": FAINT, "linecolor": IDEAL, "zeroline": False}
    figure = go.Figure()
    figure.update_layout(
        title={"text": title, "font": {"size": 15, "weight": 600}, "x": 0, "xref": "paper", "xanchor": "left"},
        font=FONT,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 16, "t": 44, "b": 8},
        legend={"x": 0.02, "y": 0.98, "xanchor": "left", "yanchor": "top", "bgcolor": "rgba(255,255,255,0.7)"},
        hovermode="closest",
        xaxis={
            **axis,
            "type": "log",
            "title": {"text": "devices"},
            "tickvals": counts,
            "ticktext": [f"{count:,}" for count in counts],
            "automargin": True,
        },
        yaxis={**axis, "automargin": True, "rangemode": "tozero"},
    )
    return figure
