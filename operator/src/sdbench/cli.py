"""Defines the commands of `sdbench`: options and exit codes; the work of a command is in its own room.

Exit codes: 0 done and complete · 1 failed, partly measured or a gate that did not pass · 2 bad usage, invalid file,
refused · 3 a gate that lacks data (`sdbench gate`) · 130/143 stopped by a signal. Errors are sentences on stderr.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from sdbench import __version__

FAILED, INVALID, UNDECIDED = 1, 2, 3

app = typer.Typer(
    name="sdbench",
    help="How fast, in how many days and for how much money would your devices train Stable Diffusion?",
    epilog="The documentation is in docs/command-line.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


class NumberFormat(StrEnum):
    """How a projection is written."""

    TABLE = "table"
    JSON = "json"


def main() -> None:
    """The entry point of the program."""
    app()


def fail(code: int, *sentences: str) -> NoReturn:
    """Say why on stderr and leave."""
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def problems_said(file: Path | str, unreachable: int = FAILED) -> Iterator[None]:
    """A file that asks nothing answerable ends the command with its problems, not with a traceback."""
    from sdbench.core.plan.grid import PlanRefused
    from sdbench.local.documents import InvalidFile
    from sdbench.local.preflight import LocalRunRefused
    from sdbench.report.cluster_reader import NotRead

    try:
        yield
    except InvalidFile as error:
        fail(INVALID, *(f"{file}: {problem}" for problem in error.problems))
    except PlanRefused as error:
        fail(INVALID, f"{file}: {error}")
    except LocalRunRefused as error:
        fail(INVALID, str(error))
    except NotRead as error:
        fail(unreachable, str(error))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sdbench {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON with one StableDiffusionBenchmark.")],
    local: Annotated[bool, typer.Option("--local", help="Run on this machine, without a cluster.")] = False,
    shards: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Read these shards in place of spec.data.")
    ] = None,
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Keep what is measured in FOLDER/NAME.")] = Path(
        "results"
    ),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run that FOLDER/NAME holds.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Forget the run that FOLDER/NAME holds.")] = False,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Benchmark's results in place of spec.gate.baseline.")
    ] = None,
) -> None:
    """Measure what FILE asks, and show the scaling table.

    Ctrl-C stops cleanly: what was measured is kept, and --resume continues.
    """
    from sdbench.local.command import RunOptions, failure_lines, run_file
    from sdbench.report.answers import complete
    from sdbench.report.gate_lines import passed
    from sdbench.report.table import show

    if not local:
        fail(INVALID, f"To run it in the cluster: kubectl apply -f {file}. To run it on this machine: add --local.")
    if resume and overwrite:
        fail(INVALID, "--resume and --overwrite exclude each other.")
    console = Console()
    with problems_said(file):
        answer = run_file(file, RunOptions(shards, results, overwrite, resume, baseline), console)
    console.print()
    show(answer.benchmark, console)
    console.print(f"Stored in {answer.results.document}", markup=False, highlight=False, soft_wrap=True)
    if complete(answer.benchmark):
        if answer.benchmark.spec.gate is None or passed(answer.benchmark):
            return
        fail(FAILED, "Everything is measured, and the gate did not pass.")
    if answer.interrupted is not None:
        fail(answer.interrupted, "Interrupted. To continue, give the same command with --resume.")
    fail(FAILED, *failure_lines(answer))


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON files.")],
) -> None:
    """Check files as the API server and the operator would, and show what would be measured."""
    from sdbench.core.plan.validate import accepted
    from sdbench.local.documents import contents
    from sdbench.report.question import plan_lines

    invalid = False
    for file in files:
        try:
            with problems_said(file):
                found = contents(file)
                plans = [(benchmark, accepted(benchmark)) for benchmark in found.benchmarks]
        except typer.Exit:
            invalid = True
            continue
        for benchmark, trials in plans:
            typer.echo("\n".join(plan_lines(benchmark, trials)))
        for kind in found.other_kinds:
            typer.echo(f"{file}: a {kind} is in it too, and was not checked")
    if invalid:
        raise typer.Exit(INVALID)


@app.command()
def report(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A Benchmark of the cluster, or a file with its status.")
    ],
    form: Annotated[Format, typer.Option("--format", help="table, json, or html (one self-contained page).")] = (
        Format.TABLE
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to the terminal.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Of NAME; default: the kubeconfig's.")
    ] = None,
) -> None:
    """Show what was measured, as a table, for programs, or as a page with plots."""
    from sdbench import sources
    from sdbench.report import written

    with problems_said(source):
        benchmark = sources.stored_benchmark(source, namespace)
    text = written.rendered(benchmark, form.value)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(FAILED, f"{output} cannot be written: {error.strerror}")


@app.command()
def gate(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A Benchmark of the cluster, or a file with its status.")
    ],
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Results to compare with, in place of spec.gate.baseline.")
    ] = None,
    max_regression: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Largest loss that passes, such as 0.02 for 2 %.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Of NAME; default: the kubeconfig's.")
    ] = None,
    form: Annotated[NumberFormat, typer.Option("--format", help="table or json.")] = NumberFormat.TABLE,
) -> None:
    """Judge a finished answer again: exit 0 for Pass, 1 for Fail, 3 for InsufficientData."""
    from sdbench import sources
    from sdbench.local.rejudge import rejudged
    from sdbench.report.gate_lines import gate_document, gate_lines, passed

    with problems_said(source, unreachable=INVALID):
        answer = sources.stored_benchmark(source, namespace)
        others = partial(sources.stored_reference, source=source, namespace=namespace)
        benchmark = rejudged(answer, baseline, max_regression, others)
    text = gate_document(benchmark) if form is NumberFormat.JSON else "\n".join(gate_lines(benchmark))
    typer.echo(text)
    if passed(benchmark) is not True:
        raise typer.Exit(UNDECIDED if passed(benchmark) is None else FAILED)


@app.command()
def project(
    devices: Annotated[int, typer.Option(min=1, help="Devices that train.")],
    price: Annotated[str, typer.Option(help="Of one device for one hour.")] = "0",
    rate: Annotated[
        str | None, typer.Option("--images-per-second", help="Rate of all devices together; with --images.")
    ] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images of the full training.")] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGES:RATE", help="A part of the training at its own rate; give it for each part."),
    ] = None,
    seed_rounding: Annotated[
        bool, typer.Option("--seed-rounding", help="Round as the table that this project starts from.")
    ] = False,
    form: Annotated[NumberFormat, typer.Option("--format", help="table or json.")] = NumberFormat.TABLE,
) -> None:
    """Extend a rate to a full training: days, device-hours and cost."""
    from sdbench.report.projection_lines import Unprojectable, projected, projection_lines, stages

    try:
        result = projected(stages(rate, images, stage or []), devices, price, seed_rounding)
    except Unprojectable as error:
        fail(INVALID, str(error))
    if form is NumberFormat.JSON:
        typer.echo(json.dumps(result))
    else:
        typer.echo("\n".join(projection_lines(result)))


@app.command()
def operator(
    default_image: Annotated[str, typer.Option(help="Trainer image of Benchmarks that name none.")],
    namespace: Annotated[
        list[str] | None, typer.Option(help="Watch this namespace only; may be given again. Default: all.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Serves /healthz and /metrics.")] = 8080,
    max_devices: Annotated[int | None, typer.Option(min=1, help="Most devices of a Benchmark at once.")] = None,
    max_device_hours: Annotated[
        str | None, typer.Option(metavar="HOURS", help="Most device-hours that a Benchmark itself may cost.")
    ] = None,
    max_concurrent_trials: Annotated[
        int | None, typer.Option(min=1, help="Most Trials of all Benchmarks together.")
    ] = None,
    presets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with what spec.scheduling.preset may name.")
    ] = None,
    workload: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with what every training pod gets.")
    ] = None,
) -> None:
    """Run the operator: what the chart's Deployment starts."""
    from sdbench.controller import options
    from sdbench.controller.operator import Options, run_operator

    try:
        bounds = options.parsed_bounds(max_devices, max_device_hours, max_concurrent_trials)
        defined, fixed = options.read_presets(presets), options.read_workload(workload)
    except options.WrongOption as error:
        fail(INVALID, str(error))
    run_operator(Options(default_image, tuple(namespace or ()), port, bounds, defined, fixed))


if __name__ == "__main__":
    main()
