"""The command line: `cxr-mtl`, also `python -m cxr_mtl`."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cxr_mtl.base.errors import InputError

app = typer.Typer(
    help="Cross-modal chest X-ray retrieval: run the study, build the book, query the index.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="The Open-I archives.", no_args_is_help=True)
app.add_typer(data, name="data")
console = Console()
errors = Console(stderr=True, soft_wrap=True)

RunName = Annotated[
    str,
    typer.Option("--run", "--name", metavar="NAME", help="The run: a folder name under runs/."),
]
Profile = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Values: a file of book/profiles by name, any YAML file, or the manifest.json of a "
        "run that is to be repeated.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--parameter", metavar="NAME=VALUE", help="One parameter; wins over the profile."
    ),
]


@app.command()
def run(
    chapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHAPTER",
            help="Number, name or file; exercises/05 for the exercises of one, exercises for all; "
            "everything when left out.",
        ),
    ] = None,
    profile: Profile = "demo",
    run: RunName = "demo",
    parameter: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Execute fresh chapters too.")] = False,
) -> None:
    """Execute the chapters that are not fresh; outputs go to runs/NAME."""
    from cxr_mtl.runs.driver import run_chapters, time_table
    from cxr_mtl.runs.stage_runner import ChapterError

    started = time.perf_counter()
    try:
        outcomes = run_chapters(profile, run, parameter or (), chapters or (), force, console)
    except ChapterError as error:
        raise _failed(error) from None
    console.print(time_table(outcomes, time.perf_counter() - started))


@app.command()
def book(
    profile: Profile = "demo",
    run: RunName = "demo",
    parameter: Overrides = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The run with which the pages compare this one; CXR_MTL_REFERENCE, else demo, "
            "when left out.",
        ),
    ] = None,
) -> None:
    """Execute what is not fresh, then build the pages into _build/html."""
    from cxr_mtl.pages.build import PagesError, build_html, check_edition
    from cxr_mtl.runs.driver import run_chapters, time_table
    from cxr_mtl.runs.run import existing_run
    from cxr_mtl.runs.stage_runner import ChapterError, Outcome

    check_edition(reference)
    if reference and reference != run:
        existing_run(reference)
    started = time.perf_counter()
    try:
        outcomes = run_chapters(profile, run, parameter or (), console=console)
        building = time.perf_counter()
        index = build_html(run, reference)
    except (ChapterError, PagesError) as error:
        raise _failed(error) from None
    outcomes.append(Outcome("pages", "always built", time.perf_counter() - building))
    console.print(time_table(outcomes, time.perf_counter() - started))
    console.print(f"The book: {index}", highlight=False, soft_wrap=True)


@app.command()
def status(profile: Profile = "demo", run: RunName = "demo", parameter: Overrides = None) -> None:
    """Say which chapters of a run are fresh, and why the others are not."""
    from cxr_mtl.runs.driver import chapter_states

    table = Table("chapter", "state")
    for chapter, reason in chapter_states(profile, run, parameter or ()).items():
        table.add_row(chapter, "fresh" if reason is None else f"stale: {escape(reason)}")
    console.print(table)


@app.command()
def search(
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Trials trained at the same time, each in its own process, with an equal share "
            "of the cores; the profile's `workers` when left out.",
        ),
    ] = None,
    profile: Profile = "demo",
    run: RunName = "demo",
    parameter: Overrides = None,
) -> None:
    """Search the loss weights: execute chapter 03 and those it needs, where they are not fresh.

    Another N tries other weights: write `workers: N` in the profile, or later commands search anew.
    """
    from cxr_mtl.runs.driver import run_chapters, time_table
    from cxr_mtl.runs.stage_runner import ChapterError

    chosen = [f"workers={workers}"] if workers else []
    started = time.perf_counter()
    try:
        outcomes = run_chapters(
            profile,
            run,
            [*(parameter or ()), *chosen],
            _with_needs("03_weight_search"),
            False,
            console,
        )
    except ChapterError as error:
        raise _failed(error) from None
    console.print(time_table(outcomes, time.perf_counter() - started))


@app.command()
def sweep(
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE,VALUE",
            help="Values of one parameter; may be repeated, then all combinations are run. A comma "
            'within [ ] or " " does not separate.',
        ),
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="The sweep; its runs are runs/NAME-1, NAME-2, ...")
    ],
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Points run at the same time, each with an equal share of the cores.",
        ),
    ] = 1,
    profile: Profile = "demo",
    parameter: Overrides = None,
) -> None:
    """Run the study once per point of a grid of parameters; the summary goes to runs/NAME."""
    from cxr_mtl.runs.sweep import COMPLETE, plan_sweep
    from cxr_mtl.runs.sweep_runner import run_sweep

    planned = plan_sweep(grid, name, profile, parameter or ())
    summary = run_sweep(planned, workers, console)
    table = Table(*(escape(column) for column in summary.columns))
    for row in summary.itertuples(index=False, name=None):
        table.add_row(*map(escape, row))
    console.print(table)
    console.print(f"The summary: {planned.folder}/summary.html", highlight=False, soft_wrap=True)
    if (summary["state"] != COMPLETE).any():
        raise typer.Exit(1)


@app.command()
def query(
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A radiograph to search with.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="A report to search with.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many studies to show, at least 1.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    run: RunName = "demo",
) -> None:
    """Find the test studies of a run nearest to an image or a report.

    Searched are their fused vectors, half image and half report, by the run's fine-tuned model.
    """
    if (image is None) == (text is None):
        raise InputError("give one of --image FILE and --text")
    from cxr_mtl.explorer.query import describe_index, query_run
    from cxr_mtl.runs.run import existing_run

    asked = existing_run(run)
    hits = query_run(asked, image=image, text=text, k=k)
    if as_json:
        print(json.dumps(hits, indent=1, ensure_ascii=False))
        return
    table = Table("study", "score", "label", "report")
    for hit in hits:
        label = {0: "normal", 1: "abnormal"}.get(hit["label"], "unknown")
        table.add_row(hit["study"], f"{hit['score']:.4f}", label, escape(hit["text"]))
    console.print(table)
    console.print(describe_index(asked), style="dim", markup=False, highlight=False, soft_wrap=True)


@app.command()
def compare(
    run_a: Annotated[
        str, typer.Argument(metavar="RUN_A", help="One run: a folder name under runs/.")
    ],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The other.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write all numbers to this HTML page."),
    ] = None,
) -> None:
    """Say which numbers of two runs differ, and by more than another training seed would do."""
    from cxr_mtl.base.files import write_beside
    from cxr_mtl.runs.compare import MOVED, compare_page, compare_runs, value_text, verdict_counts
    from cxr_mtl.runs.freshness import stale_chapters
    from cxr_mtl.runs.run import existing_run

    a, b = existing_run(run_a), existing_run(run_b)
    rows = compare_runs(a, b)
    for name in (run_a, run_b):
        for chapter, reason in stale_chapters(name).items():
            console.print(f"{name}: {chapter} is stale ({reason})", markup=False, highlight=False)
    counts = Table("verdict", "numbers")
    for verdict, count in verdict_counts(rows).items():
        counts.add_row(verdict, str(count))
    console.print(counts)
    for verdict in MOVED:
        moved = rows[rows["verdict"] == verdict]
        if moved.empty:
            continue
        table = Table(title=verdict)
        for name in ("stage", "number", "A", "B", "B − A", "seed sd"):
            table.add_column(name, overflow="fold")
        for stage, key, *values in moved.drop(columns="verdict").itertuples(index=False, name=None):
            table.add_row(
                escape(stage), escape(key), *(escape(value_text(value)) for value in values)
            )
        console.print(table)
    if html:
        with write_beside(html) as beside:
            beside.write_text(compare_page(rows, a, b), encoding="utf-8")
        console.print(f"Written: {escape(str(html))}", highlight=False, soft_wrap=True)


@app.command()
def bench(
    what: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="train, features, search, retrieval or book (times of the run's chapters); may "
            "be repeated; all when left out.",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="quick|full",
            help="How much is measured: full also writes a file for each into benchmarks/.",
        ),
    ] = "quick",
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="What computes.")] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write one JSON file for all, at either size."),
    ] = None,
    run: RunName = "demo",
) -> None:
    """Measure speed against baselines and against what the machine's rates allow."""
    from cxr_mtl.bench.runner import run_benchmarks

    def report(line: str) -> None:
        errors.print(line, style="dim", highlight=False)

    for path in run_benchmarks(what or (), size, device, run, out, console, report):
        console.print(f"Written: {path}", highlight=False, soft_wrap=True)


@app.command()
def teach(run: RunName = "demo") -> None:
    """Write the exercises as notebooks into _build/teach, for students and for instructors.

    Students' notebooks lack the solutions; instructors' have those of the run, with outputs.
    """
    from cxr_mtl.pages.student_notebooks import write_teaching_notebooks

    def report(line: str) -> None:
        errors.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)

    folder = write_teaching_notebooks(run, report=report)
    console.print(f"Written: {folder}/student and {folder}/instructor", highlight=False)


@app.command()
def notebooks(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where they are written; replaced as a whole.")
    ],
    repository: Annotated[
        str,
        typer.Option(
            envvar="CXR_MTL_REPOSITORY",
            metavar="OWNER/NAME",
            help="The repository at GitHub that the notebooks clone.",
        ),
    ] = "",
) -> None:
    """Write the chapters as notebooks that install everything themselves, for Colab and Binder."""
    from cxr_mtl.pages.launch import write_notebooks

    for path in write_notebooks(folder, repository):
        console.print(f"Written: {escape(str(path))}", highlight=False, soft_wrap=True)


@data.command()
def fetch(
    folder: Annotated[Path, typer.Argument(help="Where the archives are unpacked.")],
) -> None:
    """Download and verify the Open-I reports and images (about 1.4 GB)."""
    from cxr_mtl.data.download import fetch as fetch_archives

    fetch_archives(folder)


def main() -> None:
    """Entry point; bad input prints one sentence and exits with 2, a failed chapter with 1."""
    try:
        app()
    except InputError as error:
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _with_needs(chapter: str) -> list[str]:
    """The names of a chapter and of all whose files it needs, directly or through others."""
    from cxr_mtl.runs.stages import read_chapters, upstream

    return [*upstream(chapter, read_chapters()), chapter]


def _failed(error: Exception) -> typer.Exit:
    errors.print(f"[bold red]failed:[/] {escape(str(error))}", highlight=False)
    return typer.Exit(1)
