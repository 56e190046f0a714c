"""Phantoms: the same arguments give the same pixels, and each finding shows where its code says."""

import collections
import importlib.resources
import tarfile

import numpy as np
import pytest
from lxml import etree
from PIL import Image

from cxr_mtl.data.mesh_codes import parse_code
from cxr_mtl.phantoms.anatomy import lung_outlines, sample_anatomy
from cxr_mtl.phantoms.phantom import DRAWN_HEADINGS, draw, drawn_codes

SIZE = 160
SEEDS = (1, 3)


def change(code: str, seed: int, size: int = SIZE) -> np.ndarray:
    """Grey values a finding adds to the chest it is drawn in."""
    normal = draw(["normal"], seed, size).astype(float)
    return draw([code], seed, size).astype(float) - normal


def lung_mask(seed: int, side: int, top: float, bottom: float, size: int = SIZE) -> np.ndarray:
    """Pixels inside one lung of the normal chest, between two fractions of its height."""
    lung = sample_anatomy(np.random.default_rng(seed)).lungs[side]
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    order = np.argsort(lung.x)
    above, below = (np.interp(x, lung.x[order], e[order]) for e in (lung.top, lung.bottom))
    inside = (x > lung.x.min()) & (x < lung.x.max()) & (y > above) & (y < below)
    height = (y - lung.apex) / (lung.base - lung.apex)
    return inside & (height > top) & (height < bottom)


def centre(weights: np.ndarray) -> tuple[float, float]:
    """Centre of mass (x, y) as fractions of the picture."""
    y, x = (np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5) / weights.shape[0]
    return float((x * weights).sum() / weights.sum()), float((y * weights).sum() / weights.sum())


def heart_width(picture: np.ndarray, seed: int) -> float:
    """Mean width in pixels of the bright run around the spine, over the heart's lower half."""
    chest = sample_anatomy(np.random.default_rng(seed))
    tall = chest.base - chest.apex
    rows = slice(*(round((chest.apex + f * tall) * len(picture)) for f in (0.72, 0.86)))
    lungs = [picture[lung_mask(seed, side, 0.3, 0.6, len(picture))] for side in (-1, 1)]
    limit = 0.5 * np.median(np.concatenate(lungs)) + 0.5 * np.median(picture[rows, SIZE // 2])
    smooth = np.array(Image.fromarray(picture).resize((SIZE, SIZE // 4), Image.Resampling.BOX))
    rows = slice(rows.start // 4, rows.stop // 4 + 1)
    widths = []
    for row in smooth[rows] > limit:
        middle = SIZE // 2
        dark = np.flatnonzero(~row)
        widths.append(dark[dark > middle].min() - dark[dark < middle].max())
    return float(np.mean(widths))


@pytest.fixture(scope="module")
def archive_codes() -> list[list[str]]:
    """The codes of every real report that the installed torchxrayvision carries."""
    package = importlib.resources.files("torchxrayvision")
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    with (
        importlib.resources.as_file(package / "data" / "NLMCXR_reports.tgz") as path,
        tarfile.open(path) as archive,
    ):
        reports = [archive.extractfile(m).read() for m in archive if m.name.endswith(".xml")]
    trees = (etree.fromstring(report, parser) for report in reports)
    return [[entry.text for entry in tree.iterfind("MeSH/major")] for tree in trees]


def test_equal_arguments_give_equal_pixels():
    codes = ["Opacity/lung/base/right", "Cardiomegaly/mild"]
    assert np.array_equal(draw(codes, 7, SIZE), draw(codes, 7, SIZE))
    assert not np.array_equal(draw(codes, 7, SIZE), draw(codes, 8, SIZE))


def test_a_phantom_shows_its_drawn_codes_and_nothing_else(archive_codes):
    more = [codes for codes in archive_codes if 0 < len(drawn_codes(codes)) < len(codes)]
    assert more
    for codes in more:
        assert np.array_equal(draw(codes, 7, 64), draw(drawn_codes(codes), 7, 64)), codes
    assert drawn_codes(["normal", "No Indexing"]) == []


def test_a_phantom_is_a_grey_picture_of_the_size_asked_for():
    picture = draw([], 0, 112)
    assert picture.shape == (112, 112)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("seed", SEEDS)
def test_another_size_shows_the_same_scene(seed):
    codes = ["Pneumonia/lower lobe/right", "Implanted Medical Device/left"]
    coarse = [
        np.asarray(Image.fromarray(draw(codes, seed, size)).resize((56, 56), Image.Resampling.BOX))
        for size in (256, 112)
    ]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.985


@pytest.mark.parametrize("seed", range(8))
def test_lungs_are_darker_than_the_heart_and_the_abdomen(seed):
    picture = draw(["normal"], seed, SIZE).astype(float)
    chest = sample_anatomy(np.random.default_rng(seed))
    lungs = [picture[lung_mask(seed, side, 0.3, 0.7)].mean() for side in (-1, 1)]
    x, y = round(chest.midline * SIZE), round((chest.base - 0.1) * SIZE)
    heart = picture[y - 6 : y + 6, x - 4 : x + 12].mean()
    assert max(lungs) + 40 < min(heart, picture[int(0.9 * SIZE) :, x - 30 : x - 12].mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_apex_of_the_heart_points_to_the_viewers_right(seed):
    x, _ = centre(np.clip(change("Cardiomegaly/severe", seed), 0, None))
    assert x > sample_anatomy(np.random.default_rng(seed)).midline


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("word", "side"), [("right", -1), ("left", 1)])
def test_an_effusion_fills_the_lower_corner_of_its_own_side(seed, word, side):
    added = change(f"Pleural Effusion/{word}/moderate", seed)
    assert added[lung_mask(seed, side, 0.85, 1.0)].mean() > 30
    assert abs(added[lung_mask(seed, -side, 0.0, 1.0)].mean()) < 1
    assert abs(added[lung_mask(seed, side, 0.0, 0.45)].mean()) < 1


@pytest.mark.parametrize("seed", SEEDS)
def test_an_effusion_grows_with_its_severity(seed):
    grades = [change(f"Pleural Effusion/right/{g}", seed).sum() for g in ("small", "large")]
    blunted = change("Costophrenic Angle/right/blunted", seed).sum()
    assert 0 < blunted < grades[0] < grades[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_cardiomegaly_widens_the_heart_by_its_severity(seed):
    grades = ("borderline", "mild", "moderate", "severe")
    codes = ["normal", *(f"Cardiomegaly/{grade}" for grade in grades)]
    widths = [heart_width(draw([code], seed, SIZE), seed) for code in codes]
    assert widths == sorted(widths)
    assert widths[-1] > 1.25 * widths[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_calcified_granuloma_is_one_small_dense_spot_in_its_lobe(seed):
    added = change("Calcified Granuloma/lung/upper lobe/right", seed, 256)
    touched = np.abs(added) > 5
    assert added.max() > 60
    assert 10 < touched.sum() < 150
    assert not (touched & ~lung_mask(seed, -1, 0.05, 0.5, 256)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pneumothorax_darkens_the_rim_and_draws_the_pleura(seed):
    added = change("Pneumothorax/left/large", seed)
    lung = lung_mask(seed, 1, 0.0, 0.5)
    assert added[lung].min() < -25
    assert added[lung].max() > 25
    assert np.abs(added[lung_mask(seed, -1, 0.0, 1.0)]).mean() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_emphysema_darkens_both_lungs_and_low_volumes_shrink_them(seed):
    emphysema, shallow = change("Emphysema/severe", seed), change("Lung/hypoinflation", seed)
    for side in (-1, 1):
        assert emphysema[lung_mask(seed, side, 0.2, 0.7)].mean() < -4
        assert shallow[lung_mask(seed, side, 0.85, 1.0)].mean() > 30


@pytest.mark.parametrize("seed", SEEDS)
def test_an_elevated_diaphragm_covers_the_base_of_its_side_only(seed):
    added = change("Diaphragm/right/elevated", seed)
    assert added[lung_mask(seed, -1, 0.85, 1.0)].mean() > 40
    assert added[lung_mask(seed, 1, 0.6, 1.0)].mean() < 15


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("heading", ["Opacity", "Pneumonia", "Consolidation", "Airspace Disease"])
def test_an_airspace_finding_brightens_the_lobe_it_names(seed, heading):
    for zone, top, bottom in (("upper lobe", 0.05, 0.5), ("lower lobe", 0.55, 1.0)):
        added = np.clip(change(f"{heading}/lung/{zone}/right", seed), 0, None)
        assert added[lung_mask(seed, -1, top, bottom)].sum() > 0.75 * added.sum()
        assert added.max() > 25


@pytest.mark.parametrize("seed", SEEDS)
def test_multiple_nodules_are_more_than_one(seed):
    one = (change("Nodule/lung/right", seed) > 10).sum()
    many = (change("Nodule/lung/multiple/right", seed) > 10).sum()
    assert many > 1.7 * one > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pacemaker_is_a_bright_box_on_its_side(seed):
    chest = sample_anatomy(np.random.default_rng(seed))
    for word, side in (("right", -1), ("left", 1)):
        picture = draw([f"Implanted Medical Device/{word}"], seed, SIZE)
        y, x = (round(v * SIZE) for v in (chest.apex + 0.17, chest.midline + side * 0.29))
        assert picture[y - 2 : y + 3, x - 2 : x + 3].min() > 200


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("word", "side"), [("right", -1), ("left", 1)])
def test_scoliosis_shifts_the_spine_to_its_convex_side(seed, word, side):
    added = change(f"Scoliosis/thoracic vertebrae/{word}/severe", seed)
    chest = sample_anatomy(np.random.default_rng(seed))
    band = added[round(0.38 * SIZE) : round(0.52 * SIZE)]
    shade = np.clip(band, 0, None).sum(axis=0)
    x = (np.arange(SIZE) + 0.5) / SIZE
    assert side * ((x * shade).sum() / shade.sum() - chest.midline) > 0.03


def test_degenerative_change_stays_on_the_spine():
    touched = np.abs(change("Thoracic Vertebrae/degenerative", 4)) > 8
    columns = np.flatnonzero(touched.any(axis=0)) / SIZE
    midline = sample_anatomy(np.random.default_rng(4)).midline
    assert touched.sum() > 50
    assert np.abs(columns - midline).max() < 0.08


def test_every_one_of_the_40_most_frequent_headings_is_seen(archive_codes):
    headings, forms = collections.Counter(), collections.defaultdict(collections.Counter)
    for codes in archive_codes:
        for text in codes:
            code = parse_code(text)
            headings[code.heading] += 1
            forms[code.heading][text] += 1
    del headings["normal"], headings["No Indexing"]
    frequent = [heading for heading, _ in headings.most_common(40)]
    assert set(frequent) <= DRAWN_HEADINGS
    for heading in frequent:
        text = forms[heading].most_common(1)[0][0]
        added = np.abs(change(text, 5, 112))
        assert (added > 10).sum() >= 4, text


def test_every_code_of_the_archive_can_be_drawn(archive_codes):
    distinct = sorted({code for codes in archive_codes for code in codes})
    for seed, code in enumerate(distinct[::6]):
        assert draw([code], seed, 48).std() > 20
    assert len({parse_code(code).heading for code in distinct} - DRAWN_HEADINGS) < 20


def test_an_undrawn_heading_and_no_code_leave_a_normal_chest():
    assert "Cholelithiasis" not in DRAWN_HEADINGS
    normal = draw(["normal"], 3, SIZE)
    for codes in ([], ["Cholelithiasis"], ["No Indexing"]):
        assert np.array_equal(draw(codes, 3, SIZE), normal)


def test_lung_outlines_are_pairs_on_either_side_of_the_midline():
    outlines = lung_outlines()
    assert len(outlines) > 100
    for right, left in outlines:
        assert right.x.max() <= 0.03
        assert left.x.min() >= -0.03
        for lung in (right, left):
            assert (lung.bottom[2:-2] > lung.top[2:-2]).all()
