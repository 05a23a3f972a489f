"""Tests that the page is self-contained and escapes the texts of the Benchmark."""

import re

from page import sample
from sdbench.report.page import page
from sdbench.report.plot import efficiency_figure, rate_figure, series


def test_the_page_loads_nothing() -> None:
    text = page(sample.complete())
    outside = re.sub(r"<script\b[^>]*>.*?</script>", "", text, flags=re.DOTALL)
    assert "plotly.js v" in text
    assert not re.search(r"""(src|href)\s*=|url\(|@import""", outside)
    assert "default-src 'none'" in text


def test_hostile_texts_are_escaped() -> None:
    hostile = sample.partly(sample.HOSTILE)
    rows = tuple(row.model_copy(update={"point": f"{row.point},x={sample.HOSTILE}"}) for row in hostile.status.points)
    metadata = hostile.metadata.model_copy(update={"name": sample.HOSTILE})
    status = hostile.status.model_copy(update={"points": rows})
    text = page(hostile.model_copy(update={"metadata": metadata, "status": status}))
    assert sample.HOSTILE not in text
    assert "&lt;script&gt;window.hostile" in text


def test_the_page_has_the_notes_the_scaling_fit_and_the_cost_of_the_benchmark() -> None:
    text = page(sample.noted())
    assert "asked 2048, runs 2016: 21 on each device, in 6 microbatches, the last of 1" in text
    assert "2 of 3 repeats were disturbed" in text
    assert "What a step costs" in text
    assert "images per device + 0.302 s" in text
    assert "took 336.00 device-hours and cost 672.00" in text
    assert sample.HOSTILE not in text


def test_a_page_without_points_is_small_and_has_a_headline() -> None:
    nothing = sample.partly()
    nothing = nothing.model_copy(update={"status": nothing.status.model_copy(update={"points": ()})})
    text = page(nothing)
    assert len(text) < 20_000
    assert "Nothing was measured" in text
    assert "OutOfMemoryDevice" in text


def test_the_ideal_starts_at_the_smallest_count() -> None:
    ideal, measured = rate_figure(sample.complete()).data
    assert ideal.name == "ideal"
    assert ideal.y[0] == measured.y[0] == 128.2
    assert round(ideal.y[-1], 6) == 128.2 * 32
    assert set(measured.error_y.array) == {1.1}


def test_efficiency_is_plotted_for_each_variant_of_a_sweep() -> None:
    swept = sample.complete()
    more = tuple(
        row.model_copy(update={"point": f"{row.point},deviceMicrobatchSize={size}"})
        for row in swept.status.points
        for size in (2, 4)
    )
    swept = swept.model_copy(update={"status": swept.status.model_copy(update={"points": more})})
    assert [name for name, _ in series(swept)] == ["deviceMicrobatchSize=2", "deviceMicrobatchSize=4"]
    assert len(efficiency_figure(swept).data) == 2
