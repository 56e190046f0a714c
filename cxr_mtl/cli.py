"""The command line: `cxr-mtl`, also `python -m cxr_mtl`."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import complain, exit_code, printable_json
from cxr_mtl.subcommands import RunName, console, data, errors, report, reports, say

if TYPE_CHECKING:
    from cxr_mtl.runs.stage_runner import Outcome

app = typer.Typer(
    help="Cross-modal chest X-ray retrieval: run the study, build the book, query the index.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(reports, name="reports")

Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Values: a name in book/profiles, a YAML file, or the manifest.json of a run again. "
        "Left out, a run keeps what it was made with; a new one takes demo, or pairs with "
        "-p dataset=pairs.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="One; wins over the profile."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Trainings at once, on an equal share of the cores each."
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
    profile: Profile = None,
    run: RunName = "demo",
    parameter: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Execute fresh chapters too.")] = False,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Execute first what they rest on and is not fresh.")
    ] = False,
) -> None:
    """Execute the chapters that are not fresh; outputs go to runs/NAME."""
    from cxr_mtl.runs.driver import run_chapters

    with _time_told() as outcomes:
        outcomes += run_chapters(
            profile, run, parameter or (), chapters or (), force, console, upstream
        )


@app.command()
def book(
    profile: Profile = None,
    run: RunName = "demo",
    parameter: Overrides = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The run to compare with; CXR_MTL_REFERENCE or demo when left out."
        ),
    ] = None,
) -> None:
    """Execute what is not fresh, then build the pages into _build/html."""
    from cxr_mtl.pages.build import PagesError, build_html, check_edition
    from cxr_mtl.runs.driver import run_chapters
    from cxr_mtl.runs.run import existing_run
    from cxr_mtl.runs.stage_runner import Outcome

    check_edition(reference)
    if reference and reference != run:
        existing_run(reference)
    with _time_told(PagesError) as outcomes:
        outcomes += run_chapters(profile, run, parameter or (), console=console)
        started = time.perf_counter()
        index = build_html(run, reference)
        outcomes.append(Outcome("pages", "always built", time.perf_counter() - started))
    say(f"The book: {index}")


@app.command()
def status(profile: Profile = None, run: RunName = "demo", parameter: Overrides = None) -> None:
    """Say which chapters of a run are fresh, and why the others are not."""
    from cxr_mtl.runs.status import print_status

    print_status(profile, run, parameter or (), console)


@app.command()
def search(
    workers: Workers = None,
    profile: Profile = None,
    run: RunName = "demo",
    parameter: Overrides = None,
) -> None:
    """Search the loss weights: execute chapter 03 and those it needs, where they are not fresh.

    Another N tries other weights. Without --workers those of the run or its profile are taken.
    """
    from cxr_mtl.runs.driver import run_chapters

    overrides = [*(parameter or ()), *([f"workers={workers}"] if workers else ())]
    with _time_told() as outcomes:
        outcomes += run_chapters(profile, run, overrides, ["03"], False, console, True)


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
    workers: Workers = 1,
    profile: Profile = "demo",
    parameter: Overrides = None,
) -> None:
    """Run the study once per point of a grid of parameters; the summary goes to runs/NAME."""
    from cxr_mtl.runs.sweep import COMPLETE, plan_sweep, summary_table
    from cxr_mtl.runs.sweep_runner import run_sweep

    planned = plan_sweep(grid, name, profile, parameter or ())
    summary = run_sweep(planned, workers, console)
    console.print(summary_table(summary))
    say(f"The summary: {planned.folder}/summary.html")
    if (summary["state"] != COMPLETE).any():
        raise typer.Exit(1)


@app.command()
def query(
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="A radiograph.")] = None,
    text: Annotated[str | None, typer.Option(help="Or a report.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many studies to show, at least 1.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    run: RunName = "demo",
) -> None:
    """Find the test studies of a run nearest to an image or a report.

    Searched are their fused vectors, half image and half report, by the run's fine-tuned model.
    """
    if (image is None) == (text is None):
        raise InputError("give one of --image FILE and --text")
    from cxr_mtl.explorer.query import describe_index, hits_table, query_run
    from cxr_mtl.runs.run import existing_run

    asked = existing_run(run)
    hits = query_run(asked, image=image, text=text, k=k, notice=report)
    if as_json:
        print(printable_json(hits))
    else:
        console.print(hits_table(hits))
        say(describe_index(asked), style="dim")


@app.command()
def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="One run, by name.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The other.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all numbers to this HTML page."),
    ] = None,
) -> None:
    """Say which numbers of two runs differ, and by more than another training seed would do."""
    from cxr_mtl.base.files import check_output, write_beside
    from cxr_mtl.base.table_text import PAGE_START
    from cxr_mtl.runs.compare import compare_page, compare_runs, tables_of_what_moved
    from cxr_mtl.runs.freshness import stale_chapters
    from cxr_mtl.runs.run import existing_run

    if html:
        check_output(html, PAGE_START.encode(), "page of `cxr-mtl compare`")
    a, b = existing_run(run_a), existing_run(run_b)
    rows = compare_runs(a, b)
    for name in (run_a, run_b):
        for chapter, reason in stale_chapters(name).items():
            say(f"{name}: {chapter} is stale ({reason})")
    for table in tables_of_what_moved(rows):
        console.print(table)
    if html:
        with write_beside(html) as beside:
            beside.write_text(compare_page(rows, a, b), encoding="utf-8")
        say(f"Written: {html}")


@app.command()
def bench(
    what: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="train, features, search, retrieval, book (the run's chapters); all if left out.",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="quick|full", help="How much; full also writes a file each into benchmarks/."
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

    for path in run_benchmarks(what or (), size, device, run, out, console, report):
        say(f"Written: {path}")


@app.command()
def teach(run: RunName = "demo") -> None:
    """Write the exercises as notebooks into _build/teach, for students and for instructors.

    Students' notebooks lack the solutions; instructors' have those of the run, with outputs.
    """
    from cxr_mtl.pages.student_notebooks import write_teaching_notebooks

    folder = write_teaching_notebooks(run, report=report)
    say(f"Written: {folder}/student and {folder}/instructor")


@app.command()
def notebooks(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A new folder, or that of earlier notebooks.")
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
        say(f"Written: {path}")


def main() -> None:
    """Entry point; bad input prints one sentence and exits with 2, a failed chapter with 1."""
    sys.exit(exit_code(lambda: app(standalone_mode=False), errors))


@contextlib.contextmanager
def _time_told(*failures: type[Exception]) -> Iterator[list["Outcome"]]:
    """Tell at the end of the `with` block where the time went, in the steps put on its list.

    A failed chapter, or another of these failures, ends the command with 1 and its message.
    """
    from cxr_mtl.runs.driver import time_table
    from cxr_mtl.runs.stage_runner import ChapterError

    outcomes, started = [], time.perf_counter()
    try:
        yield outcomes
    except (ChapterError, *failures) as error:
        complain(errors, "failed:", str(error))
        raise typer.Exit(1) from None
    console.print(time_table(outcomes, time.perf_counter() - started))
