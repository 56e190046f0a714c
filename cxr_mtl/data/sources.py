"""The data sets there are: what each is called, whose it is, and where to look when it fails."""

from dataclasses import dataclass

from cxr_mtl.base.choices import DatasetName
from cxr_mtl.base.errors import check_choice


@dataclass(frozen=True)
class Source:
    """A data set in words.

    Args:
        title: what it is, for readers.
        attribution: whose its reports and images are.
        licence: its name and address; "" where nobody has named one.
        remedy: what to look at when none of its studies can be used.
    """

    title: str
    attribution: str
    licence: str
    licence_url: str
    remedy: str


_OPENI = (
    "the Indiana University chest X-ray collection (Open-I), Demner-Fushman et al. 2016, "
    "doi:10.1093/jamia/ocv080"
)
_BY_NC_ND = ("CC BY-NC-ND 4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/")

SOURCES: dict[DatasetName, Source] = {
    "phantom": Source(
        "Open-I reports, drawn phantoms as images",
        f"Reports: {_OPENI}. Images: phantoms drawn from their index terms.",
        *_BY_NC_ND,
        "check sections and label_rule",
    ),
    "openi": Source(
        "Open-I reports and radiographs",
        f"Reports and images: {_OPENI}.",
        *_BY_NC_ND,
        "check its images and view_source",
    ),
    "pairs": Source(
        "pairs of a CSV",
        "Reports and images: the pairs that were given to this run.",
        "",
        "",
        "check its rows; paths of images are relative to the CSV's folder",
    ),
}


def source_of(dataset: str) -> Source:
    """The words for a data set.

    Raises:
        InputError: there is none of that name.
    """
    check_choice("dataset", dataset, DatasetName)
    return SOURCES[dataset]
