"""Pairs: any CSV of image, text, label; what it lacks is named by line, nothing is lost."""

import csv
import os
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.pairs import read_pairs
from cxr_mtl.data.studies import says_nothing


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "my data"
    (folder / "images").mkdir(parents=True)
    for number, name in enumerate(("a", "b", "c", "d e")):
        Image.new("L", (8, 8 + number), 9).save(folder / "images" / f"{name}.png")
    return folder


def written(folder: Path, *lines: str) -> Path:
    path = folder / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def tables(path: Path, **given) -> tuple[pd.DataFrame, pd.DataFrame]:
    loaded = read_pairs(path, **given)
    return loaded.studies, loaded.dropped


def test_rows_become_studies_in_the_shared_columns(folder):
    path = written(
        folder,
        "text,label,image",
        '"Clear, no effusion.",0,images/a.png',
        f'"NA\nOpacity.",1,{folder / "images" / "b.png"}',
        " Clear. , 1.0, images/d e.png ",
    )
    studies, dropped = tables(path)
    assert list(studies) == ["study", "image", "text", "label", "image_sha256", "pixels_sha256"]
    assert studies.study.tolist() == ["a", "b", "d e"]
    assert studies.text.tolist() == ["Clear, no effusion.", "NA Opacity.", "Clear."]
    assert studies.label.tolist() == [0, 1, 1]
    assert studies.label.dtype == "int64"
    assert all(Path(image).is_file() for image in studies.image)
    assert len(dropped) == 0


def test_relative_images_are_found_from_any_current_directory(folder, monkeypatch):
    written(folder, "image,text", "images/a.png,t")
    monkeypatch.chdir(folder.parent)
    studies, _ = tables(Path("my data/pairs.csv"))
    assert studies.image.tolist() == ["my data/images/a.png"]


def test_without_a_label_column_every_label_is_minus_one(folder):
    studies, _ = tables(written(folder, "image,text", "images/a.png,t", "images/b.png,t"))
    assert studies.label.tolist() == [-1, -1]


def test_a_study_column_gives_the_ids(folder):
    lines = ["study,image,text,label", "p1,images/a.png,t,0", " p2,images/a.png,u,0"]
    studies, _ = tables(written(folder, *lines))
    assert studies.study.tolist() == ["p1", "p2"]


def test_files_that_are_named_by_a_uid_give_it_whole_as_the_id(folder):
    uids = ["1.2.826.0.1.3680043.8.498.1000.1", "1.2.826.0.1.3680043.8.498.1000.2"]
    for number, uid in enumerate(uids):
        Image.new("L", (8, 8 + number)).save(folder / uid, format="PNG")
    studies, _ = tables(written(folder, "image,text", *(f"{uid},t" for uid in uids)))
    assert studies.study.tolist() == uids


def test_patients_and_studies_that_look_the_same_are_one(folder):
    lines = ["study,image,text,patient", "Mu\u0308,images/a.png,t,P-1\u200b"]
    studies, _ = tables(written(folder, *lines, "x,images/b.png,u,\u00a0P-1"))
    assert studies.study.tolist() == ["Mü", "x"]
    assert studies.patient.tolist() == ["P-1", "P-1"]
    with pytest.raises(InputError, match="line 3, repeats the study id 'Mü' of line 2: give each"):
        read_pairs(written(folder, *lines, "Mü,images/b.png,u,P-2"))
    with pytest.raises(InputError, match=r"repeats .*line 2: a spreadsheet has rounded '1.2E\+14'"):
        read_pairs(
            written(folder, "study,image,text", "1.2E+14,images/a.png,t", "1.2E+14,images/b.png,u")
        )


@pytest.mark.parametrize(
    "patient",
    ["unknown", "Unknown", "UNK", "n/a", "none", "-", "?", "#N/A", "#REF!", "not known", "anon.",
     "unknown patient", "(anonymous)", "XXXX", "unbekannt", "1.23457E+14"],
)  # fmt: skip
def test_what_stands_for_no_patient_is_refused(folder, patient):
    path = written(folder, "image,text,patient", "images/a.png,t,1", f"images/b.png,u,{patient}")
    with pytest.raises(InputError, match=r"line 3, names no patient.*: (fill it in|a spreadsheet)"):
        read_pairs(path)


@pytest.mark.parametrize("patient", ["unknown 7", "ANON0012", "0", "NO", "12E5", "U.N."])
def test_an_odd_id_of_a_patient_is_one(folder, patient):
    path = written(folder, "image,text,patient", f"images/b.png,u,{patient}")
    assert tables(path)[0].patient.tolist() == [patient]


def test_split_and_patient_are_read_under_any_name_of_the_patient(folder):
    lines = ["image,text,split,patient,pid", "images/a.png,t,Val,x, 7", "images/b.png,u,test,y,7"]
    studies, _ = tables(written(folder, *lines))
    assert studies.split.tolist() == ["validation", "test"]
    assert studies.patient.tolist() == ["x", "y"]
    studies, _ = tables(written(folder, *lines), patient_column="pid")
    assert studies.patient.tolist() == ["7", "7"]
    with pytest.raises(InputError, match=r"'who' is no column of .*: it has 'image'"):
        read_pairs(written(folder, *lines), patient_column="who")


def test_unusable_rows_are_dropped_with_their_reason(folder):
    (folder / "images" / "bad.png").write_bytes(b"no image")
    lines = ["image,text,label", "images/a.png,t,0", "images/gone.png,t,1", "images/bad.png,t,1"]
    lines += ["images/b.png,  ,0", "images/c.png,XXXX XXXX.,0"]
    loaded = read_pairs(written(folder, *lines))
    assert loaded.studies.study.tolist() == ["a"]
    assert loaded.dropped.set_index("study").reason.to_dict() == {
        "b": "no text",
        "c": "no text",
        "gone": "image missing",
        "bad": "image unreadable",
    }
    details = loaded.dropped.set_index("study").detail
    assert details["b"].endswith("pairs.csv, line 5, has the text '  ', which says nothing")
    assert details["c"].endswith("line 6, has the text 'XXXX XXXX.', which says nothing")
    assert str(folder / "images" / "gone.png") in details["gone"]
    assert "bad.png" in details["bad"]
    assert loaded.notices[0].sentence == (
        "studies dropped: 4 of 5 (2 x no text, 1 x image missing, 1 x image unreadable); "
        "dropped.parquet lists them"
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,label", "images/a.png,0"], "lacks the column text: its first line"),
        (["picture,caption", "images/a.png,t"], "lacks the columns image and text: its first line"),
        (["images/a.png,t,0"], "reads 'images/a.png,t,0'; if it has no header, add one"),
        (["Image,Text", "images/a.png,t"], "did you mean image and text"),
        (["image,text, Label", "images/a.png,t,0"], "names ' Label' .* did you mean label"),
        (["image,text,label"], "no rows"),
        (["image,text,label", "images/a.png,t,0", "images/b.png,t,2"], "line 3, has the label '2'"),
        (["image,text,label", "images/a.png,t,"], "line 2, has the label ''"),
        (["image,text,label", "images/a.png,t,abnormal"], r"label 'abnormal': write 0 \(normal\)"),
        (["image,text,label", "images/a.png,t,True"], "label 'True'"),
        (["image,text,label", "images/a.png,t,-1"], "label '-1'"),
        (["image,text", "images/a.png,t", "other/a.png,t"], "line 3, repeats the study id 'a' of"),
        (
            ["image,text", "images/a.png,t", "images/a.png,u"],
            "line 3, repeats the study id 'a' and the image of line 2: delete one of them, or",
        ),
        (["image,text", ",t"], "line 2, names no image"),
        (["image,text", "NaN,t"], "line 2, names no image .'NaN'."),
        (["study,image,text", ",images/a.png,t"], "line 2, names no study"),
        (["image,text", "images/a.png,t,u"], "line 2, has 3 fields"),
        (["image,text,split", "images/a.png,t,dev"], "line 2, names the part 'dev': write one of"),
        (["image,text,split", "images/a.png,t,"], "line 2, names the part '': write one of"),
        (["image,text,patient", "images/a.png,t, "], "line 2, names no patient"),
        (["image,text,patient", "images/a.png,t,\u200b"], "line 2, names no patient"),
        (["image,text,patient", "images/a.png,t,nan"], "line 2, names no patient .'nan'."),
        (["image,text", "https://x.org/a.png,t"], "line 2, names the image by an address"),
        (["image,text", "s3://x/a.png,t"], "line 2, names the image by an address"),
        (["image,text", "\"['a.png', 'b.png']\",t"], "line 2, names several images, or a list"),
        (["image,text", "['images/a.png'],t"], "line 2, names several images, or a list"),
        (["image,text", "\"('my film', 'b')\",t"], "line 2, names several images, or a list"),
        (["image,text", '"[""a.png""]",t'], "line 2, names several images, or a list"),
        (["image,text", "(images/a.png),t"], "line 2, names several images, or a list"),
        (["image,text", "[a.png b.png],t"], "line 2, names several images, or a list"),
        (["image,text", "images/a.png;images/b.png,t"], "line 2, names several images"),
        (["image,text", "images/a.png | images/b.png,t"], "line 2, names several images"),
        (["image,text", "images/a.png images/b.png,t"], "line 2, names several images"),
        (["image,text", "images\\a.png,t"], "line 2, names the image with backslashes"),
        (["image,text", "C:\\films\\a.png,t"], "line 2, names the image by a path of Windows"),
        (["image,text", "d:/films/a.png,t"], "line 2, names the image by a path of Windows"),
        (["image,text", "~/a.png,t"], "line 2, names the image by '~/a.png': write out the folder"),
    ],
)
def test_a_bad_csv_is_refused(folder, lines, message):
    with pytest.raises(InputError, match=rf"pairs\.csv.*{message}"):
        read_pairs(written(folder, *lines))


@pytest.mark.parametrize(
    "name", ["[anon] chest 3.jpg", "(1).jpg", "(copy)", "[x", "{1}.png", "~x.png", "data:1.png"]
)
def test_a_missing_file_of_any_name_is_dropped_by_it(folder, name):
    studies, dropped = tables(written(folder, "image,text", f"{name},t", "images/a.png,t"))
    assert (len(studies), dropped.reason.tolist()) == (1, ["image missing"])
    assert name in dropped.detail[0]


@pytest.mark.parametrize("name", ["a;b.png", "c\\d.png", "~x.png", "[1].png", "1.png 2.png", "NA"])
def test_a_file_may_bear_any_name(folder, name):
    Image.new("L", (8, 8)).save(folder / name, format="PNG")
    studies, dropped = tables(written(folder, "image,text", f"{name},t"))
    assert (len(studies), len(dropped)) == (1, 0)


def test_a_csv_in_another_encoding_is_refused(folder):
    path = folder / "pairs.csv"
    path.write_bytes("image,text\nimages/a.png,œdème\n".encode("cp1252"))
    with pytest.raises(InputError, match="line 2, is not UTF-8"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("image,text,label", ['images/a.png,"clear lungs,0', 'images/b.png,small effusion",1']),
        ("image,text,label", ['x.PNG,"clear,0', 'y.PNG,opacity,1', 'z.PNG,small effusion",1']),
        ("text,label,image", ['"clear lungs,0,images/a.png', 'small effusion",1,images/b.png']),
        ("label,text,image", ['0,"clear lungs,images/a.png', '1,effusion",images/b.png']),
        ("image,text", ['images/a.png,"clear lungs', 'images/d e.png,small effusion"']),
        ("image,text", ['images/a.png,"clear lungs', '', '""images/b.png"",effusion"']),
        ("image,text", ['images/a.png,"clear lungs', 'images/gone.png,small effusion"']),
        ("image,text,note", ['images/a.png,clear,"x', 'images/b.png,effusion,y"']),
    ],
)  # fmt: skip
def test_a_row_that_stray_quotes_put_into_another_is_refused(folder, header, rows):
    with pytest.raises(InputError, match=r"pairs\.csv, line 2, holds another row in its (text|no)"):
        read_pairs(written(folder, header, *rows))


def test_films_that_a_report_lists_are_a_part_of_it_unless_they_may_be_a_row(folder):
    report = '"Two views.\nIM-0001.jpg, PA\nIM-0002.jpg, lateral\nClear."'
    (text,) = tables(written(folder, "image,text", f"images/a.png,{report}"))[0].text
    assert text == "Two views. IM-0001.jpg, PA IM-0002.jpg, lateral Clear."
    (folder / "images" / "a.png").rename(folder / "a.png")
    told = "holds another row .*; if this line is a part of the text, write that on one line"
    with pytest.raises(InputError, match=told):
        read_pairs(written(folder, "image,text", f"a.png,{report}"))
    one_line = report.replace("\n", " ")
    assert tables(written(folder, "image,text", f"a.png,{one_line}"))[0].text.tolist() == [text]


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: clear,\nno effusion, no pneumothorax.\n\nIMPRESSION: normal.",
        'The nodule is 2,1\ncm wide, so ""large"", as said.',
        "Compare the film\nof 1999, see a.png, left",
        "1,0\n0,1",
        "a,b,c\nd,e,f\ng,h",
    ],
)
@pytest.mark.parametrize("header", ["image,text,label", "text,label,image"])
def test_a_report_of_several_lines_is_kept(folder, text, header):
    values = {"image": "images/a.png", "text": f'"{text}"', "label": "0"}
    path = written(folder, header, ",".join(values[name] for name in header.split(",")))
    studies, dropped = tables(path)
    assert studies.text.tolist() == [" ".join(text.replace('""', '"').split())]
    assert len(dropped) == 0


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(TEXT | st.text('a,"\n\r'), min_size=3, max_size=3), data=st.data())
def test_no_text_is_changed_and_no_row_lost_by_one_quote(folder, texts, data):
    rows = [(f"images/{name}.png", text, "0") for name, text in zip("abc", texts, strict=True)]
    path = folder / "written.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "text", "label"), *rows])
    studies, dropped = tables(path)
    kept = [" ".join(text.split()) for text in texts if not says_nothing(text)]
    assert studies.text.tolist() == kept
    assert len(studies) + len(dropped) == 3

    whole = path.read_bytes().decode()
    place = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes((whole[:place] + '"' + whole[place:]).encode())
    with pytest.raises(InputError):
        read_pairs(path)


def test_one_picture_under_two_labels_is_refused_however_it_is_kept(folder):
    with Image.open(folder / "images" / "a.png") as image:
        image.save(folder / "images" / "same.bmp")
    lines = ["image,text,label", "images/b.png,t,0", "images/a.png,t,0", "images/same.bmp,u,1"]
    with pytest.raises(InputError, match=r"lines 3 and 4, show the same picture .studies 'a' and"):
        read_pairs(written(folder, *lines))
    unlabelled = [line.rsplit(",", 1)[0] for line in lines]
    assert len(read_pairs(written(folder, *unlabelled)).studies) == 3


def test_a_row_that_repeats_another_is_told(folder):
    rows = ["1,images/a.png,Clear.", "2,images/b.png,x", "3,images/a.png,CLEAR."]
    (remark,) = read_pairs(written(folder, "study,image,text", *rows)).remarks
    assert (remark.about, remark.count) == ("repeated rows", 1)
    assert "both picture and text of another: 1 (lines 2 and 4, for one)" in remark.sentence


def test_a_told_column_with_a_blank_can_be_pasted(folder):
    lines = ["image,text,Patient ID", "images/a.png,t,7"]
    path = written(folder, *lines)
    (remark,) = read_pairs(path).remarks
    told = re.search(r"Name it by (.*)\)", remark[1])[1]
    assert shlex.split(told) == ["-p", "patient_column=Patient ID"]
    assert read_pairs(path, patient_column="Patient ID").studies.patient.tolist() == ["7"]


def test_columns_that_are_not_used_are_named_with_what_they_may_mean(folder):
    lines = ["image,text,labels,patient_id,age", "images/a.png,t,0,7,60"]
    (remark,) = read_pairs(written(folder, *lines)).remarks
    assert remark == (
        "columns not used",
        "columns of pairs.csv that are not used: 'labels' (did you mean label?), 'patient_id' "
        "(did you mean patient? Name it by -p patient_column=patient_id), 'age'",
        3,
    )


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_real_radiographs_with_captions_are_read(tmp_path):
    source = Path(os.environ["CXR_MTL_TEST_DATA"]) / "rocov2-cxr"
    table = pd.read_csv(source / "captions.csv")
    assert (len(table), table.label.sum()) == (3516, 1021)
    first = table.head(300).assign(image=[str(source / image) for image in table.image.head(300)])
    first.to_csv(tmp_path / "captions.csv", index=False)
    studies, dropped = tables(tmp_path / "captions.csv")
    assert (len(studies), len(dropped)) == (300, 0)
    assert studies.label.tolist() == table.label.head(300).tolist()
    assert studies.study.is_unique
