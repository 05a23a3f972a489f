"""Tests in a real browser that the page shows its numbers offline, on a desktop, on a phone and on paper."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from page import sample
from sdbench.api.benchmark import Benchmark
from sdbench.report.page import page

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


@dataclass
class PageLog:
    """The requests and errors of a page."""

    requests: list[str] = field(default_factory=list)
    warnings_about: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


def opened(browser: Browser, benchmark: Benchmark, folder: Path, size: dict[str, int]) -> tuple[Page, PageLog]:
    """The Benchmark's page in the browser."""
    file, log = folder / "report.html", PageLog()
    file.write_text(page(benchmark), encoding="utf-8")
    shown = browser.new_page(viewport={"width": size["width"], "height": size["height"]})
    shown.on("request", lambda request: log.requests.append(request.url))
    shown.on("console", lambda message: log.warnings_about.append(message.text))
    shown.on("pageerror", lambda error: log.warnings_about.append(str(error)))
    shown.goto(file.as_uri())
    if benchmark.status.points:
        shown.wait_for_selector("#efficiency .scatterlayer .points path")
    return shown, log


def test_the_page_shows_the_table_and_both_plots(browser: Browser, tmp_path: Path) -> None:
    shown, log = opened(browser, sample.complete(), tmp_path, DESKTOP)
    cells = [row.locator("td").all_inner_texts() for row in shown.locator("table.scaling tbody tr").all()]
    assert cells[0] == ["8", "128.2 ± 1.1", "16.02", "100.0 %", "258.83", "49,696", "99,392", "1.2 %", "0.21 %"]
    assert [row[0] for row in cells] == ["8", "16", "32", "64", "128", "256"]
    assert shown.locator("#rate .scatterlayer .trace").count() == 2
    assert shown.locator("#rate .points path").count() == len(sample.SEED)
    assert shown.locator("#efficiency .points path").count() == len(sample.SEED)
    assert "12.83 days" in shown.locator(".headline").inner_text()
    assert "NVIDIA A100-SXM4-40GB" in shown.locator("dl").last.inner_text()
    assert log.warnings_about == []
    shown.close()


def test_no_request_leaves_the_page(browser: Browser, tmp_path: Path) -> None:
    shown, log = opened(browser, sample.complete(), tmp_path, DESKTOP)
    shown.locator("#rate .points path").last.hover(force=True)
    shown.wait_for_load_state("networkidle")
    assert log.requests == [(tmp_path / "report.html").as_uri()]
    shown.close()


def test_the_page_lists_missing_points_and_escapes_hostile_strings(browser: Browser, tmp_path: Path) -> None:
    shown, log = opened(browser, sample.partly(sample.HOSTILE), tmp_path, DESKTOP)
    row = shown.locator("table.missing tbody tr td").all_inner_texts()
    assert row == ["devices=32", "0", "OutOfMemoryDevice", sample.HOSTILE]
    assert shown.evaluate("window.hostile") is None
    assert log.warnings_about == []
    shown.close()


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, tmp_path: Path) -> None:
    shown, _ = opened(browser, sample.complete(), tmp_path, PHONE)
    assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not shown.locator("table.scaling thead").is_visible()
    label = shown.locator("table.scaling tbody td").nth(1)
    assert label.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Images/s"'
    shown.close()


def test_the_page_prints_on_at_most_three_sheets(browser: Browser, tmp_path: Path) -> None:
    shown, _ = opened(browser, sample.complete(), tmp_path, DESKTOP)
    printed = shown.pdf(format="A4", path=tmp_path / "report.pdf")
    assert 1 <= printed.count(b"/Type /Page\n") <= 3
    shown.close()
