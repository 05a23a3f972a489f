"""Builds the answer as one self-contained HTML page: no network, readable on a phone, printable."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from sdbench import __version__
from sdbench.api.benchmark import Benchmark
from sdbench.report.answers import (
    cells,
    columns,
    complete,
    extent,
    headline,
    number,
    projection_messages,
    spent,
    state,
    unmeasured,
)
from sdbench.report.environment_facts import environment_facts, question_facts
from sdbench.report.gate_lines import asked_limits, finding_cells, gate_lines, judged_points
from sdbench.report.plot import efficiency_figure, figure_html, rate_figure
from sdbench.report.scaling_lines import scaling_fit_sentences
from sdbench.report.table import note_lines

TEXT_HEADINGS = frozenset({"Point", "Trial", "Why", "What to do", "Limit", "Verdict", "What it says"})
GOOD, BAD, NEUTRAL = "#15803d", "#b42318", "#5b6472"


def page(benchmark: Benchmark) -> str:
    """The whole page; every text of the Benchmark is escaped."""
    measured = bool(benchmark.status.points)
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{benchmark.metadata.name} · sdbench"),
        name=escape(benchmark.metadata.name),
        headline=escape(headline(benchmark)),
        state=_state(benchmark),
        state_colour=_colour(benchmark),
        plotly=get_plotlyjs() if measured else "",
        sections="\n".join(_sections(benchmark)),
        footer=escape(f"Made by sdbench {__version__} from {benchmark.metadata.namespace}/{benchmark.metadata.name}."),
    )


def _sections(benchmark: Benchmark) -> Iterator[str]:
    if benchmark.status.points:
        yield _table("scaling", [column.heading for column in columns(benchmark)], cells(benchmark))
        yield "".join(_note(line) for line in note_lines(benchmark))
        yield _plots(benchmark)
        if benchmark.status.scaling_fits:
            yield from _section("What a step costs", "".join(_note(line) for line in scaling_fit_sentences(benchmark)))
        notes = (f"{_projection(benchmark)} {spent(benchmark)}".rstrip(), *projection_messages(benchmark))
        yield from _section("Projection", "".join(_note(note) for note in notes))
    yield from _gate(benchmark)
    missing = [(row.point, str(row.repeat), row.why, row.sentence) for row in unmeasured(benchmark)]
    if missing:
        yield from _section("Not measured", _table("missing", ["Point", "Repeat", "Why", "What to do"], missing))
    yield from _section("The question", _facts(question_facts(benchmark)))
    yield from _section("Measured on", _facts(environment_facts(benchmark)))


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _gate(benchmark: Benchmark) -> Iterator[str]:
    if benchmark.spec.gate is None:
        return
    asked = f"Asked for {judged_points(benchmark.spec.gate)}: {', '.join(asked_limits(benchmark.spec.gate))}."
    notes = "".join(_note(line) for line in (gate_lines(benchmark)[0], asked))
    findings = tuple(finding_cells(benchmark))
    headings = ["Limit", "Point", "Verdict", "Value", "What it says"]
    yield from _section("Gate", notes + (_table("gate", headings, findings) if findings else ""))


def _section(title: str, body: str) -> Iterator[str]:
    yield f"<section><h2>{escape(title)}</h2>{body}</section>"


def _plots(benchmark: Benchmark) -> str:
    figures = (
        ("rate", "Images per second over devices, beside ideal scaling", rate_figure(benchmark)),
        ("efficiency", "Scaling efficiency over devices", efficiency_figure(benchmark)),
    )
    return '<div class="plots">{}</div>'.format(
        "".join(
            f'<div class="plot" role="img" aria-label="{escape(label)}">{figure_html(figure, name)}</div>'
            for name, label, figure in figures
        )
    )


def _table(name: str, headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    kinds = [' class="text"' if heading in TEXT_HEADINGS else "" for heading in headings]
    head = "".join(f'<th scope="col"{kind}>{escape(text)}</th>' for text, kind in zip(headings, kinds, strict=True))
    lines = "".join(f"<tr>{_cells(headings, kinds, row)}</tr>" for row in body)
    return f'<table class="{name}"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _cells(headings: Sequence[str], kinds: Sequence[str], row: Sequence[str]) -> str:
    return "".join(
        f'<td{kind} data-label="{escape(heading)}">{escape(cell)}</td>'
        for heading, kind, cell in zip(headings, kinds, row, strict=True)
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "<dl>{}</dl>".format("".join(f"<dt>{escape(term)}</dt><dd>{escape(fact)}</dd>" for term, fact in facts))


def _projection(benchmark: Benchmark) -> str:
    price = benchmark.spec.devices.hourly_price
    cost = f", and cost is device-hours at {number(price, 2)} each" if price > 0 else ""
    asked = benchmark.spec.projection
    days = "the sum over the stages of images ÷ images/s ÷ 86,400" if asked.stages else "images ÷ images/s ÷ 86,400"
    return (
        f"Days, device-hours and cost extend the mean rate of the measured window to {extent(asked)}: days = {days}, "
        f"device-hours = days × 24 × devices{cost}. Interruptions, evaluation and checkpoints are not in it."
    )


def _state(benchmark: Benchmark) -> str:
    word, _, sentence = state(benchmark).partition(":")
    return f"<b>{escape(word)}</b>{escape('. ' + sentence.strip()) if sentence else ''}"


def _colour(benchmark: Benchmark) -> str:
    if complete(benchmark):
        return GOOD
    return BAD if benchmark.status.end else NEUTRAL
