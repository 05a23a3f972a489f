"""Defines the commands of `sdbench`: their options, exit codes and errors.

Exit codes: 0 done and complete · 1 failed, partly measured, or a gate that did not pass · 2 bad usage, an invalid file,
or a refused run · 3 a gate that lacks data (`sdbench gate`) · 128 + n stopped by signal n. Errors go to stderr.
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

Source = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A Benchmark of the cluster, or a file with one.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Default: the kubeconfig's.")]
Baseline = Annotated[Path | None, typer.Option(metavar="FILE", help="Results to use as spec.gate.baseline.")]

app = typer.Typer(
    name="sdbench",
    help="Measure how fast your devices train Stable Diffusion, and project a full training in days and cost.",
    epilog="The documentation is in docs/command-line.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """The formats of a report."""

    TABLE = "table"
    JSON = "json"
    HTML = "html"


class NumberFormat(StrEnum):
    """The formats of a projection and of a verdict."""

    TABLE = "table"
    JSON = "json"


def main() -> None:
    """Run the program."""
    app()


def fail(code: int, *sentences: str) -> NoReturn:
    """Print the reasons on stderr and exit."""
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(code)


@contextmanager
def errors_reported(file: Path | str, unreachable: int = FAILED) -> Iterator[None]:
    """End the command with the sentences of an expected error, instead of a traceback."""
    # Here and in each command: imports that one command needs must not delay the others.
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


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sdbench {__version__}")
        raise typer.Exit


# Eager: --version needs no command, and ignores one.
VERSION = typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")


@app.callback()
def _common(_: Annotated[bool, VERSION] = False) -> None:
    pass


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON with one StableDiffusionBenchmark.")],
    local: Annotated[bool, typer.Option("--local", help="Run on this machine, without a cluster.")] = False,
    shards: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Shards to use instead of spec.data.")] = None,
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Store results in FOLDER/NAME.")] = Path("results"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in FOLDER/NAME.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete the results in FOLDER/NAME first.")] = False,
    baseline: Baseline = None,
) -> None:
    """Run a Benchmark and show the scaling table.

    Ctrl-C stops cleanly: what was measured is kept, and --resume continues.
    """
    from sdbench.local.command import RunOptions, failure_lines, run_file
    from sdbench.report.answers import complete
    from sdbench.report.gate_lines import passed
    from sdbench.report.table import show

    if not local:
        fail(INVALID, f"sdbench run needs --local: it runs on this machine. In a cluster: kubectl apply -f {file}.")
    if resume and overwrite:
        fail(INVALID, "--resume and --overwrite exclude each other: give only one of them.")
    console = Console()
    with errors_reported(file):
        result = run_file(file, RunOptions(shards, results, overwrite, resume, baseline), console)
    console.print()
    show(result.benchmark, console)
    console.print(f"Stored in {result.results.document}", markup=False, highlight=False, soft_wrap=True)
    if complete(result.benchmark):
        if result.benchmark.spec.gate is None or passed(result.benchmark):
            return
        fail(FAILED, "Everything is measured, but the gate did not pass: its findings are above.")
    if result.interrupted is not None:
        fail(result.interrupted, "Interrupted. To continue, repeat the command with --resume.")
    fail(FAILED, *failure_lines(result))


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML or JSON files.")],
) -> None:
    """Check files and show their plans. The rules are those of the API server and the operator."""
    from sdbench.core.plan.validate import accepted
    from sdbench.local.documents import contents
    from sdbench.report.plan_lines import plan_lines

    invalid = False
    for file in files:
        try:
            with errors_reported(file):
                found = contents(file)
                plans = [(benchmark, accepted(benchmark)) for benchmark in found.benchmarks]
        except typer.Exit:
            # The other files are checked all the same.
            invalid = True
            continue
        for benchmark, trials in plans:
            typer.echo("\n".join(plan_lines(benchmark, trials)))
        for kind in found.other_kinds:
            typer.echo(f"{file}: also holds a {kind}, which was not checked")
    if invalid:
        raise typer.Exit(INVALID)


@app.command()
def report(
    source: Source,
    form: Annotated[Format, typer.Option("--format", help="html is one self-contained page.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE instead of the terminal.")
    ] = None,
    namespace: Namespace = None,
) -> None:
    """Show the result: a table, JSON or a page."""
    from sdbench import sources
    from sdbench.report.render import rendered

    with errors_reported(source):
        benchmark = sources.stored_benchmark(source, namespace)
    text = rendered(benchmark, form.value)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(FAILED, f"{output} cannot be written: {error.strerror}. Name another file with --output.")


@app.command()
def gate(
    source: Source,
    baseline: Baseline = None,
    max_regression: Annotated[
        str | None, typer.Option(metavar="RATIO", help="Largest loss that passes, such as 0.02 for 2 %.")
    ] = None,
    namespace: Namespace = None,
    form: Annotated[NumberFormat, typer.Option("--format", help="table or json.")] = NumberFormat.TABLE,
) -> None:
    """Judge a finished Benchmark again. Exit 0 for Pass, 1 for Fail, 3 for InsufficientData."""
    from sdbench import sources
    from sdbench.local.rejudge import rejudged
    from sdbench.report.gate_lines import gate_document, gate_lines, passed

    # Exit code 1 is the verdict Fail here, so a cluster that cannot be reached is 2.
    with errors_reported(source, unreachable=INVALID):
        stored = sources.stored_benchmark(source, namespace)
        find = partial(sources.stored_reference, source=source, namespace=namespace)
        benchmark = rejudged(stored, baseline, max_regression, find)
    typer.echo(gate_document(benchmark) if form is NumberFormat.JSON else "\n".join(gate_lines(benchmark)))
    if passed(benchmark) is not True:
        raise typer.Exit(UNDECIDED if passed(benchmark) is None else FAILED)


@app.command()
def project(
    devices: Annotated[int, typer.Option(min=1, help="Number of devices.")],
    price: Annotated[str, typer.Option(help="Price of one device for one hour.")] = "0",
    rate: Annotated[str | None, typer.Option("--images-per-second", help="Rate of all devices together.")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Images of the full training.")] = None,
    stage: Annotated[
        list[str] | None, typer.Option(metavar="IMAGES:RATE", help="A part of the training; give one for each.")
    ] = None,
    seed_rounding: Annotated[bool, typer.Option("--seed-rounding", help="Round as the published table.")] = False,
    form: Annotated[NumberFormat, typer.Option("--format", help="table or json.")] = NumberFormat.TABLE,
) -> None:
    """Project a full training from its rates. Shows days, device-hours and cost."""
    from sdbench.report.projection_lines import Unprojectable, projected, projection_lines, stages

    try:
        result = projected(stages(rate, images, stage or []), devices, price, seed_rounding)
    except Unprojectable as error:
        fail(INVALID, str(error))
    typer.echo(json.dumps(result) if form is NumberFormat.JSON else "\n".join(projection_lines(result)))


@app.command()
def operator(
    default_image: Annotated[str, typer.Option(help="Trainer image of Benchmarks without spec.image.")],
    namespace: Annotated[
        list[str] | None, typer.Option(help="Watch only this namespace; may be repeated. Default: all.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of /healthz and /metrics.")] = 8080,
    max_devices: Annotated[int | None, typer.Option(min=1, help="Most devices of a Benchmark at once.")] = None,
    max_device_hours: Annotated[
        str | None, typer.Option(metavar="HOURS", help="Most device-hours that a Benchmark may use.")
    ] = None,
    max_concurrent_trials: Annotated[
        int | None, typer.Option(min=1, help="Most Trials of all Benchmarks at once.")
    ] = None,
    presets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with the presets for spec.scheduling.preset.")
    ] = None,
    workload: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with additions to every training pod.")
    ] = None,
) -> None:
    """Run the operator, as the chart's Deployment does."""
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
