"""Builds the result as one self-contained HTML page: it loads nothing, prints, and fits a phone."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from sdbench import __version__
from sdbench.api.benchmark import Benchmark
from sdbench.report import answers
from sdbench.report.environment_facts import environment_facts, question_facts
from sdbench.report.gate_lines import asked_limits, finding_cells, gate_lines, judged_points
from sdbench.report.plot import efficiency_figure, figure_html, rate_figure
from sdbench.report.scaling_lines import scaling_fit_sentences
from sdbench.report.table import note_lines

TEXT_HEADINGS = frozenset({"Point", "Trial", "Why", "What to do", "Limit", "Verdict", "Finding"})
GOOD, BAD, NEUTRAL = "#15803d", "#b42318", "#5b6472"


def page(benchmark: Benchmark) -> str:
    """The whole page, with every text of the Benchmark escaped."""
    word, _, sentence = answers.state(benchmark).partition(":")
    ended = benchmark.status.end is not None
    # A Template, because the braces of CSS would have to be doubled in a format string.
    return Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{benchmark.metadata.name} · sdbench"),
        name=escape(benchmark.metadata.name),
        headline=escape(answers.headline(benchmark)),
        state=f"<b>{escape(word)}</b>{escape('. ' + sentence.strip()) if sentence else ''}",
        state_colour=GOOD if answers.complete(benchmark) else BAD if ended else NEUTRAL,
        # Plotly is some 4 MB, and a page without Points draws nothing.
        plotly=get_plotlyjs() if benchmark.status.points else "",
        sections="\n".join(_sections(benchmark)),
        footer=escape(f"Made by sdbench {__version__} from {benchmark.metadata.namespace}/{benchmark.metadata.name}."),
    )


def _sections(benchmark: Benchmark) -> Iterator[str]:
    if benchmark.status.points:
        yield _table("scaling", *answers.scaling_cells(benchmark))
        yield _notes(note_lines(benchmark))
        yield _plots(benchmark)
        if benchmark.status.scaling_fits:
            yield _section("What a step costs", _notes(scaling_fit_sentences(benchmark)))
        projection = f"{_projection(benchmark)} {answers.spent(benchmark)}".rstrip()
        yield _section("Projection", _notes((projection, *answers.projection_messages(benchmark))))
    if gate := benchmark.spec.gate:
        asked = f"Asked for {judged_points(gate)}: {', '.join(asked_limits(gate))}."
        findings = tuple(finding_cells(benchmark))
        headings = ["Limit", "Point", "Verdict", "Value", "Finding"]
        table = _table("gate", headings, findings) if findings else ""
        yield _section("Gate", _notes((gate_lines(benchmark)[0], asked)) + table)
    missing = [(row.point, str(row.repeat), row.reason, row.message) for row in answers.unmeasured(benchmark)]
    if missing:
        yield _section("Not measured", _table("missing", ["Point", "Repeat", "Why", "What to do"], missing))
    yield _section("The question", _facts(question_facts(benchmark)))
    yield _section("Measured on", _facts(environment_facts(benchmark)))


def _notes(texts: Iterable[str]) -> str:
    return "".join(f'<p class="note">{escape(text)}</p>' for text in texts)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _plots(benchmark: Benchmark) -> str:
    figures = (
        ("rate", "Images per second over devices, beside ideal scaling", rate_figure(benchmark)),
        ("efficiency", "Scaling efficiency over devices", efficiency_figure(benchmark)),
    )
    plots = (
        f'<div class="plot" role="img" aria-label="{escape(label)}">{figure_html(figure, name)}</div>'
        for name, label, figure in figures
    )
    return f'<div class="plots">{"".join(plots)}</div>'


def _table(name: str, headings: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    kinds = [' class="text"' if heading in TEXT_HEADINGS else "" for heading in headings]
    head = "".join(f'<th scope="col"{kind}>{escape(text)}</th>' for text, kind in zip(headings, kinds, strict=True))
    lines = []
    for row in body:
        # On a phone each cell is a line of its own, and `data-label` is its heading.
        cells = (
            f'<td{kind} data-label="{escape(heading)}">{escape(cell)}</td>'
            for heading, kind, cell in zip(headings, kinds, row, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="{name}"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(fact)}</dd>' for term, fact in facts)}</dl>"


def _projection(benchmark: Benchmark) -> str:
    price = benchmark.spec.devices.hourly_price
    cost = f", and cost is device-hours at {answers.number(price, 2)} each" if price > 0 else ""
    projection = benchmark.spec.projection
    per_stage = "the sum over the stages of " if projection.stages else ""
    return (
        f"Days, device-hours and cost extend the mean rate of the measured window to {answers.extent(projection)}: "
        f"days = {per_stage}images ÷ images/s ÷ 86,400, device-hours = days × 24 × devices{cost}. Interruptions, "
        "evaluation and checkpoints are not included."
    )
