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

from cxr_mtl.errors import InputError

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
    str, typer.Option("--run", metavar="NAME", help="The run: a folder name under runs/.")
]
Profile = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE", help="Values: a file of book/profiles by name, or any YAML file."
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
        typer.Argument(metavar="CHAPTER", help="Number, name or file; all when left out."),
    ] = None,
    profile: Profile = "demo",
    run: RunName = "demo",
    parameter: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Execute fresh chapters too.")] = False,
) -> None:
    """Execute the chapters that are not fresh; outputs go to runs/NAME."""
    from cxr_mtl.book import ChapterError, run_chapters, time_table

    try:
        outcomes = run_chapters(profile, run, parameter or (), chapters or (), force, console)
    except ChapterError as error:
        raise _failed(error) from None
    console.print(time_table(outcomes))


@app.command()
def book(profile: Profile = "demo", run: RunName = "demo", parameter: Overrides = None) -> None:
    """Execute what is not fresh, then build the pages into _build/html."""
    from cxr_mtl.book import ChapterError, Outcome, run_chapters, time_table
    from cxr_mtl.pages import PagesError, build_html

    try:
        outcomes = run_chapters(profile, run, parameter or (), console=console)
        started = time.perf_counter()
        index = build_html(run)
    except (ChapterError, PagesError) as error:
        raise _failed(error) from None
    outcomes.append(Outcome("pages", "always built", time.perf_counter() - started))
    console.print(time_table(outcomes))
    console.print(f"The book: {index}", highlight=False, soft_wrap=True)


@app.command()
def status(profile: Profile = "demo", run: RunName = "demo", parameter: Overrides = None) -> None:
    """Say which chapters of a run are fresh, and why the others are not."""
    from cxr_mtl.book import chapter_states

    table = Table("chapter", "state")
    for chapter, reason in chapter_states(profile, run, parameter or ()).items():
        table.add_row(chapter, "fresh" if reason is None else f"stale: {escape(reason)}")
    console.print(table)


@app.command()
def query(
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A radiograph to search with.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="A report to search with.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many studies to show.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    run: RunName = "demo",
) -> None:
    """Find the studies nearest to an image or a report in a run's index."""
    if (image is None) == (text is None):
        raise InputError("give either --image FILE or --text, not both")
    from cxr_mtl.query import query_run
    from cxr_mtl.runs import existing_run

    hits = query_run(existing_run(run), image=image, text=text, k=k)
    if as_json:
        print(json.dumps(hits, indent=1, ensure_ascii=False))
        return
    table = Table("study", "score", "label", "report")
    for hit in hits:
        label = {0: "normal", 1: "abnormal"}.get(hit["label"], "unknown")
        table.add_row(hit["study"], f"{hit['score']:.4f}", label, escape(hit["text"]))
    console.print(table)


@data.command()
def fetch(
    folder: Annotated[Path, typer.Argument(help="Where the archives are unpacked.")],
) -> None:
    """Download and verify the Open-I reports and images (about 1.4 GB)."""
    from cxr_mtl.archive import fetch as fetch_archives

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


def _failed(error: Exception) -> typer.Exit:
    errors.print(f"[bold red]failed:[/] {escape(str(error))}", highlight=False)
    return typer.Exit(1)
