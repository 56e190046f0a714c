"""Open-I reports: the real archive's counts, and what damaged or hostile files get."""

import io
import tarfile
import time
from collections import Counter

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.openi import collection_counts, installed_file, read_reports
from cxr_mtl.data.splits import duplicate_ceiling, split_studies
from cxr_mtl.data.splits import duplicates_across_parts as across


@pytest.fixture(scope="module")
def reports() -> pd.DataFrame:
    table, unreadable = read_reports()
    assert len(unreadable) == 0
    return table


def xml(number: int = 7, image_id: str = "CXR7_IM-0001-1001", findings: str = "Clear.") -> str:
    return f"""<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{number}"/><pmcId id="{number}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/><AbstractText Label="INDICATION">Cough</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">  No acute
  disease. </AbstractText></Abstract></Article></MedlineCitation>
<MeSH><major>Opacity/lung/right</major><major>Nodule</major><automatic>opacity</automatic></MeSH>
<parentImage id="{image_id}"><caption>PA and lateral</caption></parentImage></eCitation>"""


def folder_of(tmp_path, **files: str):
    folder = tmp_path / "Open I" / "ecgen-radiology"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.xml").write_text(content)
    return folder.parent


def test_the_real_archive_has_the_known_counts(reports):
    counts = collection_counts(reports)
    assert counts == {
        "reports": 3955,
        "images": 7470,
        "imaged": 3851,
        "not_imaged": 104,
        "without_findings": 530,
        "without_impression": 34,
        "without_both": 28,
        "with_text": 3927,
        "deidentified": 1855,
        "median_words": 34,
        "imaged_over_58_words": 487,
        "imaged_over_180_words": 1,
        "normal": 1391,
        "not_indexed": 95,
        "abnormal": 2469,
        "imaged_normal": 1379,
        "imaged_not_indexed": 92,
        "imaged_abnormal_no_acute": 1093,
        "imaged_with_text": 3826,
        "imaged_distinct_texts": 3064,
        "headings": 122,
    }
    assert counts["imaged_over_58_words"] / counts["imaged"] == pytest.approx(0.126, abs=5e-4)
    assert counts["imaged_normal"] / counts["imaged"] == pytest.approx(0.358, abs=5e-4)
    either = counts["imaged_normal"] + counts["imaged_not_indexed"]
    assert either / counts["imaged"] == pytest.approx(0.382, abs=5e-4)
    assert reports.study.astype(int).max() == 3999


def test_the_most_frequent_headings_of_the_real_archive(reports):
    headings = Counter(entry.split("/")[0] for entries in reports.mesh_major for entry in entries)
    listed = {
        "Lung": 568, "Opacity": 536, "Cardiomegaly": 375, "Calcinosis": 347,
        "Pulmonary Atelectasis": 347, "Calcified Granuloma": 284, "Thoracic Vertebrae": 258,
        "Cicatrix": 210, "Spine": 182, "Pleural Effusion": 172, "Markings": 171, "Aorta": 167,
        "Diaphragm": 144, "Airspace Disease": 132, "Atherosclerosis": 132, "Density": 131,
        "Catheters, Indwelling": 129, "Deformity": 128, "Scoliosis": 124, "Nodule": 121,
        "Implanted Medical Device": 112, "Granulomatous Disease": 112, "Surgical Instruments": 112,
        "Fractures, Bone": 90, "Costophrenic Angle": 81, "Pulmonary Congestion": 76,
        "Infiltrate": 68, "Emphysema": 62, "Pulmonary Edema": 47, "Pneumonia": 43,
        "Hernia, Hiatal": 48, "Consolidation": 33, "Pneumothorax": 23, "Mass": 18,
    }  # fmt: skip
    assert {name: headings[name] for name in listed} == listed


def test_duplicates_bound_exact_match_in_the_real_archive(reports):
    studies = reports[(reports.image_ids.str.len() > 0) & (reports.impression != "")]
    studies = studies.assign(text=studies.findings + " " + studies.impression)
    assert duplicate_ceiling(studies.text) == pytest.approx(0.79, abs=0.015)
    assert duplicate_ceiling(studies.impression) == pytest.approx(0.45, abs=0.015)

    normal = studies.mesh_major.map(lambda entries: entries in (["normal"], ["No Indexing"]))
    studies["label"] = (~normal).astype(int)
    parts = [split_studies(studies, seed=seed) for seed in range(5)]
    tests = [part[part.split == "test"] for part in parts]
    assert sum(duplicate_ceiling(t.text) for t in tests) / 5 == pytest.approx(0.85, abs=0.03)
    assert sum(duplicate_ceiling(t.impression) for t in tests) / 5 == pytest.approx(0.5, abs=0.06)
    assert sum(across(part) for part in parts) / 5 == pytest.approx(0.32, abs=0.03)
    together = split_studies(studies, seed=0, duplicates="together")
    assert across(together) == 0
    assert together[together.split == "test"].label.value_counts().to_dict() == {0: 200, 1: 200}


def test_no_dicom_patient_spans_two_studies():
    path = installed_file("nlmcxr_dicom_metadata.csv.gz")
    table = pd.read_csv(path, usecols=["imageid", "Patient ID"], dtype=str)
    study = table.imageid.str.extract(r"^CXR(\d+)_")[0]
    assert len(table) == 7469
    assert study.groupby(table["Patient ID"]).nunique().max() == 1


def test_one_real_report_is_read_field_by_field(reports):
    report = reports[reports.study == "1"].iloc[0].to_dict()
    assert report.pop("findings").startswith("The cardiac silhouette and mediastinum size are")
    assert report == {
        "study": "1",
        "pmcid": "1",
        "indication": "Positive TB test",
        "comparison": "None.",
        "impression": "Normal chest x-XXXX.",
        "mesh_major": ["normal"],
        "mesh_automatic": [],
        "image_ids": ["CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"],
        "captions": ["Xray Chest PA and Lateral"] * 2,
    }
    assert not reports.drop(columns=["mesh_major", "mesh_automatic"]).isna().any().any()


def test_all_real_reports_are_read_in_three_seconds():
    seconds = []
    for _ in range(2):
        start = time.process_time()
        read_reports()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 3


def test_a_folder_and_an_archive_give_the_same_reports(tmp_path):
    folder = folder_of(tmp_path, a=xml(10), b=xml(9, findings=""))
    with tarfile.open(tmp_path / "reports.tgz", "w:gz") as archive:
        archive.add(folder / "ecgen-radiology", "ecgen-radiology")
    from_folder, _ = read_reports(folder)
    from_archive, _ = read_reports(tmp_path / "reports.tgz")
    pd.testing.assert_frame_equal(from_folder, from_archive)
    assert from_folder.study.tolist() == ["9", "10"]
    assert from_folder.findings.tolist() == ["", "Clear."]
    assert from_folder.impression.tolist() == ["No acute disease."] * 2
    assert from_folder.mesh_major[0] == ["Opacity/lung/right", "Nodule"]


HOSTILE = {
    "doctype": '<!DOCTYPE x [<!ENTITY lol "lol">]>',
    "external": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
    "secret": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
}


@pytest.mark.parametrize("doctype", HOSTILE.values(), ids=HOSTILE)
def test_a_document_type_is_refused_and_the_rest_read(tmp_path, doctype):
    declared = xml(8).replace('utf-8"?>', f'utf-8"?>{doctype}')
    reports, unreadable = read_reports(folder_of(tmp_path, bad=declared, good=xml(9)))
    assert reports.study.tolist() == ["9"]
    assert unreadable.file.tolist() == ["bad.xml"]
    assert "document type" in unreadable.reason[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (xml(8)[:400], "end"),
        ("", "empty"),
        (xml(8, findings="&undefined;"), "undefined"),
        (xml(8).replace("CXR8", "8; rm"), "uId"),
        (xml(8, image_id="../../secret"), "not a plain name"),
        (xml(8, image_id=""), "not a plain name"),
        (xml(8, findings="x" * 1_000_001), "larger than"),
        (xml(9), "already in another file"),
    ],
)
def test_a_bad_report_is_listed_with_its_reason_and_the_rest_read(tmp_path, content, reason):
    reports, unreadable = read_reports(folder_of(tmp_path, a=xml(9), bad=content))
    assert reports.study.tolist() == ["9"]
    assert unreadable.file.tolist() == ["bad.xml"]
    assert reason in unreadable.reason[0]


def test_a_report_without_its_optional_elements_has_empty_fields(tmp_path):
    bare = '<eCitation><uId id="CXR5"/></eCitation>'
    report = read_reports(folder_of(tmp_path, bare=bare))[0].iloc[0].to_dict()
    assert report.pop("study") == "5"
    assert set(map(str, report.values())) == {"", "[]"}


def test_a_damaged_archive_is_refused(tmp_path):
    whole = installed_file("NLMCXR_reports.tgz").read_bytes()
    path = tmp_path / "reports.tgz"
    for content in (whole[: len(whole) // 2], b"", b"no archive", whole[:500] + whole[900:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"reports\.tgz"):
            read_reports(path)


def test_a_source_without_reports_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no ecgen-radiology"):
        read_reports(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        read_reports(tmp_path / "gone")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("readme.txt"), io.BytesIO())
    with pytest.raises(InputError, match="holds no ecgen-radiology"):
        read_reports(tmp_path / "other.tgz")


def test_a_missing_package_file_is_named():
    with pytest.raises(InputError, match=r"nothing\.csv is missing"):
        installed_file("nothing.csv")
