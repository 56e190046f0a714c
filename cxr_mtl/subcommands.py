"""Commands on files, `cxr-mtl data` and `cxr-mtl reports`, and what all commands speak with."""

from pathlib import Path
from typing import Annotated

import typer

from cxr_mtl.base.terminal import PlainConsole

data = typer.Typer(help="The Open-I archives.", no_args_is_help=True)
reports = typer.Typer(help="Reports for programs of other environments.", no_args_is_help=True)
console = PlainConsole()
errors = PlainConsole(stderr=True, soft_wrap=True)

RunName = Annotated[
    str, typer.Option("--run", "--name", metavar="NAME", help="The run: a folder name under runs/.")
]


def say(line: str, style: str | None = None) -> None:
    """Print a line, as long as it is."""
    console.print(line, style=style, soft_wrap=True)


def report(line: str) -> None:
    """Print how far the work is, beside the output."""
    errors.print(line, style="dim")


@data.command()
def fetch(folder: Annotated[Path, typer.Argument(help="Where the archives are unpacked.")]) -> None:
    """Download and verify the Open-I reports and images (about 1.4 GB)."""
    from cxr_mtl.data.download import fetch as fetch_archives

    fetch_archives(folder, report=report)


@reports.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON file that is written.")],
    run: RunName = "demo",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="fine_tuned, or a model of the run's models.json.")
    ] = "fine_tuned",
) -> None:
    """Write each test study's report and the one its image finds first, as RadEval reads them."""
    from cxr_mtl.evidence.report_scores import export_retrieved
    from cxr_mtl.runs.run import existing_run

    count = export_retrieved(existing_run(run).path, model, file)
    say(f"Written: {file} ({count} studies)")
