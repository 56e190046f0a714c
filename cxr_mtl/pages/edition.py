"""The edition that is being built: its run, the states of its stages, and its reference."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx.application import Sphinx

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.build import REFERENCE_VARIABLE, RUN_VARIABLE
from cxr_mtl.pages.launch import REPOSITORY_VARIABLE, check_repository
from cxr_mtl.pages.private_paths import PrivatePaths, private_paths
from cxr_mtl.runs.against_reference import Comparison, compare_with_reference
from cxr_mtl.runs.freshness import StageState, mending_command, read_states
from cxr_mtl.runs.run import RUNS, named_run
from cxr_mtl.runs.stages import BOOK, Chapter, read_stages, upstream


@dataclass(frozen=True)
class Edition:
    """What all pages of one build share; read once.

    Args:
        root: the book's folder, which holds `runs`.
        run_name: the run whose outputs and numbers are shown.
        reference_name: the run it is compared with.
        repository: `OWNER/NAME` at GitHub, where chapters can be opened; empty for no links.
        chapters: the stages in their order.
    """

    root: Path
    run_name: str
    reference_name: str
    repository: str
    chapters: list[Chapter] = field(repr=False)

    @property
    def run(self) -> Path:
        """The run's folder, from the root."""
        return RUNS / self.run_name

    @cached_property
    def states(self) -> dict[str, StageState]:
        """The state of every stage, in their order."""
        return read_states(self.run_name, self.chapters, self.root)

    @property
    def dataset(self) -> str | None:
        """The data set that the run was made of; None where no record says."""
        records = (state.record for state in self.states.values() if state.record)
        given = (record.parameters.get("dataset") for record in records)
        return next(filter(None, given), None)

    @cached_property
    def private(self) -> PrivatePaths:
        """The folders that no page names."""
        records = [state.record for state in self.states.values() if state.record]
        return private_paths(self.root, records)

    @cached_property
    def mend(self) -> str:
        """The command that makes what is stale."""
        return mending_command(self.run_name, self.root)

    @cached_property
    def comparison(self) -> Comparison | None:
        """This run against the reference; None for the reference itself."""
        if self.run_name == self.reference_name:
            return None
        return compare_with_reference(
            self.run_name, self.reference_name, self.states, self.chapters, self.root
        )

    def state(self, stage: str) -> StageState:
        """The state of one stage.

        Raises:
            InputError: there is no such stage.
        """
        if stage not in self.states:
            raise InputError(f"there is no chapter {stage}: take one of {', '.join(self.states)}")
        return self.states[stage]

    def rests_on_stale(self, stage: str) -> str:
        """The stale chapters whose files a stage needs, each with its reason; empty: none is."""
        below = [self.state(name) for name in upstream(stage, self.chapters)]
        return ", ".join(f"{other.name} ({other.reason})" for other in below if other.reason)


def read_edition(app: Sphinx) -> Edition:
    """The edition that the configuration of a build names.

    Raises:
        InputError: a chapter is wrong, a run has no usable name, or the repository is not written
            OWNER/NAME.
    """
    config, root = app.config, Path(app.srcdir)
    for name in (config.cxr_mtl_run, config.cxr_mtl_reference):
        named_run(name)
    repository = config.cxr_mtl_repository
    if repository:
        check_repository(repository)
    chapters = read_stages(root / BOOK)
    return Edition(root, config.cxr_mtl_run, config.cxr_mtl_reference, repository, chapters)


def edition_of(app: Sphinx) -> Edition:
    """The edition of a build, read at the first call."""
    if not hasattr(app, "cxr_mtl_edition"):
        app.cxr_mtl_edition = read_edition(app)
    return app.cxr_mtl_edition


def add_config_values(app: Sphinx) -> None:
    """Declare the values that name an edition; the variables are their defaults."""
    for name, variable, default in (
        ("cxr_mtl_run", RUN_VARIABLE, "demo"),
        ("cxr_mtl_reference", REFERENCE_VARIABLE, "demo"),
        ("cxr_mtl_repository", REPOSITORY_VARIABLE, ""),
    ):
        app.add_config_value(name, os.environ.get(variable) or default, "env", [str])


def stage_of(docname: str) -> str:
    """The stage a page belongs to: its name below `book`, for example `01_data`."""
    return PurePosixPath(docname).relative_to(BOOK.as_posix()).as_posix()


def not_computed(state: StageState, mend: str) -> nodes.abbreviation:
    """What stands where a number of a stale stage would: the reason shows on hover."""
    text = "not computed"
    explanation = f"{state.name}: {state.reason}; {mend} computes it"
    return nodes.abbreviation(text, text, explanation=explanation, classes=["num"])
