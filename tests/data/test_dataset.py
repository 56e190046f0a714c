"""One road for Open-I, drawn archives and pairs."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import file_state
from cxr_mtl.data.dataset import assign_parts, load_dataset
from cxr_mtl.data.loaded import loading_records


def openi_folder(tmp_path: Path, image_ids: list[str]) -> Path:
    folder = tmp_path / "Open I"
    (folder / "NLMCXR_png").mkdir(parents=True)
    for image_id in image_ids:
        Image.new("L", (8, 8), 99).save(folder / "NLMCXR_png" / f"{image_id}.png")
    return folder


def report(uid: str, image: str) -> str:
    return (
        f'<eCitation><uId id="CXR{uid}"/><AbstractText Label="FINDINGS">Clear.</AbstractText>'
        f'<MeSH><major>normal</major></MeSH><parentImage id="{image}"/></eCitation>'
    )


def test_openi_takes_the_installed_reports_and_the_folders_images(tmp_path):
    folder = openi_folder(tmp_path, ["CXR1000_IM-0003-1001", "CXR54_IM-2145-1001"])
    loaded = load_dataset("openi", folder=folder, view_source="tsne")
    assert loaded.studies.study.tolist() == ["54", "1000"]
    assert loaded.dropped.reason.value_counts()["image missing"] == 3245
    assert len(loaded.studies) + len(loaded.dropped) == len(loaded.reports) == 3955


def test_openi_takes_the_folders_own_reports_and_lists_unreadable_ones(tmp_path):
    folder = openi_folder(tmp_path, ["CXR9_IM-1"])
    (folder / "ecgen-radiology").mkdir()
    (folder / "ecgen-radiology" / "9.xml").write_text(report("9", "CXR9_IM-1"))
    (folder / "ecgen-radiology" / "10.xml").write_text(report("10", "CXR9_IM-1")[:50])
    table = tmp_path / "views.csv"
    table.write_text("uid,filename,projection\n9,9_IM-1.dcm.png,Frontal\n")
    loaded = load_dataset(
        "openi",
        folder=folder,
        view_source="projections",
        projections=table,
    )
    assert loaded.studies.text.tolist() == ["Clear."]
    assert loaded.dropped[["study", "reason"]].to_numpy().tolist() == [["10", "report unreadable"]]


def test_every_picture_that_was_looked_at_is_known_the_missing_ones_too(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "pairs.csv").write_text("image,text,label\na.png,Clear.,0\ngone.png,Clear.,1\n")
    folder = openi_folder(tmp_path, ["CXR1000_IM-0003-1001"])
    of_pairs = load_dataset("pairs", csv=tmp_path / "pairs.csv").files
    assert of_pairs == tuple(file_state(tmp_path / name) for name in ("a.png", "gone.png"))
    of_openi = load_dataset("openi", folder=folder, view_source="tsne").files
    assert file_state(folder / "NLMCXR_png/CXR1000_IM-0003-1001.png") in of_openi
    assert len([state for state in of_openi if state[1] < 0]) > 3000


def test_pairs_have_no_reports(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "pairs.csv").write_text("image,text,label\na.png,Clear.,0\n")
    loaded = load_dataset("pairs", csv=tmp_path / "pairs.csv")
    assert loaded.studies.study.tolist() == ["a"]
    assert loaded.reports is None


def test_a_parameter_the_data_set_needs_is_named(tmp_path):
    with pytest.raises(InputError, match="needs the parameter pairs_csv"):
        load_dataset("pairs")
    with pytest.raises(InputError, match="'phantom' needs `draw`"):
        load_dataset("phantom")
    with pytest.raises(InputError, match="'openi' needs a folder with NLMCXR_png"):
        load_dataset("openi")
    with pytest.raises(InputError, match="needs a folder with NLMCXR_png"):
        load_dataset("openi", folder=tmp_path)
    folder = openi_folder(tmp_path, [])
    with pytest.raises(InputError, match="needs the parameter projections_csv"):
        load_dataset("openi", folder=folder, view_source="projections")


def test_a_data_set_without_a_usable_study_says_why(tmp_path):
    (tmp_path / "pairs.csv").write_text("image,text\na.png,Clear.\nb.png,Clear.\n")
    with pytest.raises(
        InputError,
        match=rf"pairs\.csv has no usable study \(2 x image missing; study a, for one: {tmp_path}/"
        r"a\.png is missing: put the image there or correct its path\): check its rows; paths of",
    ):
        load_dataset("pairs", csv=tmp_path / "pairs.csv")
    folder = openi_folder(tmp_path, [])
    with pytest.raises(InputError, match=r"image missing.*: check its images and view_source$"):
        load_dataset("openi", folder=folder)


def test_what_an_open_i_folder_has_twice_or_lacks_is_told(tmp_path):
    folder = openi_folder(tmp_path, ["CXR8_IM-1", "CXR9_IM-1"])
    (folder / "ecgen-radiology").mkdir()
    for file, uid in (("1", "8"), ("2", "8"), ("3", "9")):
        (folder / "ecgen-radiology" / f"{file}.xml").write_text(report(uid, "CXR8_IM-1"))
    table = tmp_path / "views.csv"
    table.write_text("uid,filename,projection\n8,8_IM-1.dcm.png,Frontal\n5,5_I.dcm.png,Frontal\n")
    loaded = load_dataset("openi", folder=folder, view_source="projections", projections=table)
    assert loaded.studies.study.tolist() == ["8", "9"]
    assert loaded.dropped.to_dict("records") == [
        {
            "study": "2",
            "reason": "report unreadable",
            "detail": "study 8 is already in another file",
        }
    ]
    assert [(notice.about, notice.count) for notice in loaded.notices] == [
        ("dropped studies", 1),
        ("images of several studies", 1),
        ("projections of no report", 1),
        ("equal pictures", 2),
    ]


@pytest.fixture
def pairs(tmp_path):
    """24 studies of both labels, each with a picture, text and patient of its own."""
    table = pd.DataFrame({"image": [f"{i}.png" for i in range(24)]})
    for i, image in enumerate(table["image"]):
        Image.new("L", (8, 8 + i)).save(tmp_path / image)
    table["text"] = [f"Report {i}." for i in range(24)]
    table["label"] = [i % 2 for i in range(24)]
    return table


def loaded(table: pd.DataFrame, tmp_path: Path):
    table.to_csv(tmp_path / "pairs.csv", index=False)
    return load_dataset("pairs", csv=tmp_path / "pairs.csv")


THIRDS = ["train"] * 8 + ["validation"] * 8 + ["test"] * 8


def test_parts_come_from_the_split_csv_else_the_column_else_a_draw(pairs, tmp_path):
    drawn = assign_parts(loaded(pairs, tmp_path), test_per_class=3, seed=0)
    assert drawn.studies.split.value_counts()["test"] == 6
    assert drawn.notices == []
    own = loaded(pairs.assign(split=THIRDS), tmp_path)
    assert assign_parts(own, test_per_class=3, seed=0).studies.split.tolist() == THIRDS
    split = tmp_path / "split.csv"
    pd.DataFrame({"study": range(22), "split": THIRDS[::-1][:22]}).to_csv(split, index=False)
    given = assign_parts(own, split_csv=split, test_per_class=3, seed=0)
    assert given.studies.split.tolist() == THIRDS[::-1][:22]
    assert [notice.sentence for notice in given.notices] == [
        "studies dropped: 2 of 24 (2 x not in split); dropped.parquet lists them",
        "the column split is not used: split.csv gives the split",
    ]


def test_a_patient_stays_in_one_part_and_a_given_split_that_parts_one_is_refused(pairs, tmp_path):
    pairs["patient"] = [f"p{i // 3}" for i in range(24)]
    drawn = assign_parts(
        loaded(pairs, tmp_path), test_per_class=3, validation_fraction=0.4, seed=0
    ).studies
    assert drawn.groupby("patient").split.nunique().max() == 1
    own = loaded(pairs.assign(split=THIRDS), tmp_path)
    with pytest.raises(InputError, match="column split puts studies of patient 'p2' into"):
        assign_parts(own, seed=0)
    split = tmp_path / "split.csv"
    pd.DataFrame({"study": range(24), "split": THIRDS}).to_csv(split, index=False)
    with pytest.raises(InputError, match=r"split\.csv puts studies of patient 'p2' into the parts"):
        assign_parts(own, split_csv=split, seed=0)


def same_picture(tmp_path: Path, first: int, second: int) -> None:
    Image.new("L", (8, 8 + first)).save(tmp_path / f"{second}.png", compress_level=0)


def test_equal_pictures_are_told_and_kept_together_on_request(pairs, tmp_path):
    same_picture(tmp_path, 0, 2)
    data = loaded(pairs, tmp_path)
    told = ("equal pictures", "studies with the picture of another: 2 ('0', '2', for one)", 2)
    assert data.notices == [told]
    for seed in range(5):
        parted = assign_parts(data, test_per_class=3, seed=seed, duplicates="together")
        assert parted.studies.groupby("pixels_sha256").split.nunique().max() == 1
        assert parted.notices == [told]


def by_loops(studies: pd.DataFrame, column: str, part: str) -> int:
    """Studies of the part of which one of another part has the same."""
    rows = studies[[column, "split"]].to_numpy().tolist()
    return sum(any(a == c and b != d for c, d in rows) for a, b in rows if b == part)


def test_a_remedy_for_equal_pictures_is_told_only_where_some_are_parted_and_is_one(pairs, tmp_path):
    same_picture(tmp_path, 0, 2)
    data = loaded(pairs, tmp_path)
    told = 0
    for seed in range(30):
        drawn = assign_parts(data, test_per_class=3, validation_fraction=0.3, seed=seed)
        counts = {part: by_loops(drawn.studies, "pixels_sha256", part) for part in set(THIRDS)}
        remedies = [notice.sentence for notice in drawn.notices[1:]]
        if not any(counts.values()):
            assert remedies == []
            continue
        part = "test" if counts["test"] else "validation"
        of = (drawn.studies.split == part).sum()
        assert remedies == [
            f"of {of} {part} studies {counts[part]} have a picture and 0 a report that stands in "
            "another part too: duplicates=together keeps what is equal in one part"
        ]
        told += 1
    assert 0 < told < 30


@pytest.mark.parametrize("source", ["column", "csv"])
def test_what_a_given_split_parts_is_counted_and_the_split_to_be_corrected(pairs, tmp_path, source):
    for first, second in ((0, 20), (1, 21), (9, 23)):
        same_picture(tmp_path, first, second)
    pairs.loc[[0, 16], "text"] = "Same."
    split = None
    if source == "csv":
        split = tmp_path / "split.csv"
        pd.DataFrame({"study": range(24), "split": THIRDS}).to_csv(split, index=False)
        data = loaded(pairs, tmp_path)
    else:
        data = loaded(pairs.assign(split=THIRDS), tmp_path)
    remedy = {"column": "correct the column split", "csv": "correct the split in split.csv"}
    counted = (
        "of 8 test studies 3 have a picture and 1 a report that stands in another part too: "
        + remedy[source]
    )
    wish = "duplicates=together is not used, for the split is given; "
    for duplicates, expected in (("ignore", counted), ("together", wish + counted)):
        given = assign_parts(data, split_csv=split, seed=0, duplicates=duplicates)
        assert by_loops(given.studies, "pixels_sha256", "test") == 3
        first, second = given.notices
        assert first.sentence == "studies with the picture of another: 6 ('0', '20', for one)"
        assert (second.sentence, second.count) == (expected, 4)


def test_a_given_split_that_parts_nothing_equal_says_nothing_of_it(pairs, tmp_path):
    same_picture(tmp_path, 16, 18)
    pairs.loc[[17, 19], "text"] = "Same."
    data = loaded(pairs.assign(split=THIRDS), tmp_path)
    for duplicates in ("ignore", "together"):
        given = assign_parts(data, seed=0, duplicates=duplicates)
        assert [notice.about for notice in given.notices] == ["equal pictures"]


def test_a_wish_that_a_given_split_does_not_grant_is_told(pairs, tmp_path):
    pairs.loc[[0, 20], "text"] = "Same."
    data = loaded(pairs.assign(split=THIRDS), tmp_path)
    (notice,) = assign_parts(data, seed=0, duplicates="together").notices
    assert notice.sentence == (
        "duplicates=together is not used, for the split is given; of 8 test studies 0 have a "
        "picture and 1 a report that stands in another part too: correct the column split"
    )
    with pytest.raises(InputError, match="duplicates='never' is no choice"):
        assign_parts(data, seed=0, duplicates="never")


def test_what_loading_tells_becomes_records(pairs, tmp_path):
    pairs.loc[0, "image"] = "gone.png"
    assert loading_records(loaded(pairs, tmp_path)) == [
        {
            "metric": "notice",
            "about": "dropped studies",
            "value": "studies dropped: 1 of 24 (1 x image missing); dropped.parquet lists them",
        },
        {"metric": "notice_count", "about": "dropped studies", "value": 1},
        {"metric": "dropped_studies", "reason": "image missing", "value": 1},
    ]
