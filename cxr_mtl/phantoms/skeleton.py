"""Findings of the spine, the ribs and the shoulders."""

import numpy as np

from cxr_mtl.phantoms.anatomy import Anatomy
from cxr_mtl.phantoms.bones import RIBS, clavicle, humeral_head, ribs, vertebrae
from cxr_mtl.phantoms.canvas import Canvas, blob
from cxr_mtl.phantoms.painters import Finding, paints, reforms

_SPINAL = ("spine", "thoracic vertebrae", "lumbar vertebrae", "cervical vertebrae")


@reforms("Scoliosis")
def _scoliosis(anatomy: Anatomy, finding: Finding) -> None:
    """The convexity points to the side named."""
    anatomy.scoliosis = finding.sides[-1] * 0.085 * finding.severity
    anatomy.lumbar = finding.has("lumbar vertebrae") and not finding.has("thoracic vertebrae")


@reforms("Kyphosis", both_sides=True)
def _kyphosis(anatomy: Anatomy, finding: Finding) -> None:
    """A bent trunk foreshortens the lungs from above."""
    for lung in anatomy.lungs.values():
        depth = 0.05 * (0.5 + finding.severity)
        tall = lung.base - lung.apex
        for edge in (lung.top, lung.bottom):
            edge += depth * np.clip((lung.base - edge) / tall, 0, 1)


@paints("Kyphosis")
def _chin(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    canvas.layer("cover").disc(anatomy.midline, 0.0, 0.12, 220, 0.05 + 0.05 * finding.severity)


@reforms("Bone Diseases, Metabolic", "Osteoporosis")
def _thin_bones(anatomy: Anatomy, finding: Finding) -> None:
    anatomy.bone *= 0.6 - 0.2 * min(finding.severity, 1.0)


def _chosen_vertebrae(anatomy: Anatomy, finding: Finding, count: int) -> np.ndarray:
    """`count` neighbouring vertebrae [count, 2] of the region named; thoracic by default."""
    centres = vertebrae(anatomy)
    tall = anatomy.base - anatomy.apex
    low, high = anatomy.apex + 0.35 * tall, anatomy.base
    if finding.has("cervical vertebrae"):
        low, high = 0.0, anatomy.apex + 0.05
    elif finding.has("lumbar vertebrae") or finding.code.heading == "Lumbar Vertebrae":
        low, high = anatomy.base - 0.02, 1.0
    region = centres[(centres[:, 1] > low) & (centres[:, 1] < high)]
    start = int(finding.rng.integers(max(1, len(region) - count + 1)))
    return region[start : start + count]


@paints(
    "Thoracic Vertebrae",
    "Lumbar Vertebrae",
    "Cervical Vertebrae",
    "Spine",
    "Spondylosis",
    "Osteophyte",
    "Hyperostosis, Diffuse Idiopathic Skeletal",
    "Bone and Bones",
)
def _osteophytes(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """Beaks at the vertebrae's corners, dense end plates and narrowed discs."""
    bridging = finding.code.heading.startswith("Hyperostosis")
    many = bridging or finding.has("multiple", "diffuse", "scattered")
    count = round(3 + 3 * finding.severity) + 2 * many
    step = (anatomy.base - anatomy.apex) / 11.5
    beak = 0.013 + 0.011 * finding.severity
    layer = canvas.layer("spur")
    for x, y in _chosen_vertebrae(anatomy, finding, count):
        disc = y + step / 2
        for plate in (-0.008, 0.008):
            layer.stroke([(x - 0.036, disc + plate), (x + 0.036, disc + plate)], 0.005, 130)
        for side in (-1, 1):
            for lip in (-1, 1):
                edge = x + side * 0.030
                tip = x + side * (0.034 + beak * finding.rng.uniform(0.5, 1.1))
                claw = [(edge, disc + lip * 0.030), (tip, disc + lip * 0.003), (edge, disc)]
                layer.shape(claw, 230)
            if bridging:
                layer.stroke([(tip, disc), (tip, disc + step)], 0.010, 220)


@paints("Arthritis", "Sclerosis", "Shoulder", "Humerus", "Dislocations")
def _joint(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A worn joint: dense rims, at the shoulder unless the spine is named."""
    if finding.has(*_SPINAL):
        _osteophytes(anatomy, canvas, finding)
        return
    for side in finding.sides:
        x, y = humeral_head(anatomy, side)
        canvas.layer("line").ring(x, y, 0.045, 0.009, 170)
        canvas.layer("line").disc(x - side * 0.032, y + 0.035, 0.016, 150)


@paints("Fractures, Bone", "Deformity", "Ribs", "Expansile Bone Lesions")
def _fracture(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    if finding.has(*_SPINAL):
        _compressed_vertebra(anatomy, canvas, finding)
    elif finding.has("clavicle"):
        _broken_clavicle(anatomy, canvas, finding)
    elif finding.has("humerus", "shoulder"):
        _joint(anatomy, canvas, finding)
    elif finding.has("sternum"):
        x, y = anatomy.midline, anatomy.apex + 0.2
        canvas.layer("line").stroke([(x - 0.03, y - 0.01), (x + 0.03, y + 0.01)], 0.010, 230)
    elif finding.code.heading == "Deformity" and not finding.has("ribs"):
        _dented_wall(anatomy, canvas, finding)
    else:
        _broken_ribs(anatomy, canvas, finding)


def _broken_ribs(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A step with a dark gap where fresh, a knob of callus where healed or deformed."""
    count = 3 if finding.has("multiple") else 1
    fresh = finding.code.heading == "Fractures, Bone" and not finding.has("healed", "chronic")
    for side in finding.sides:
        posterior, _ = ribs(anatomy, side)
        first = int(finding.rng.integers(3, RIBS - 2 - count))
        for line in posterior[first : first + count]:
            x, y = line[8]
            along = line[9] - line[7]
            along /= np.linalg.norm(along)
            across = np.array([-along[1], along[0]])
            if fresh:
                gap = np.array([(x, y) - across * 0.018, (x, y) + across * 0.018])
                step = np.array([(x, y) + across * 0.012, (x, y) + across * 0.012 + along * 0.05])
                canvas.layer("line").stroke(step, 0.024, 160)
                canvas.layer("gas").stroke(gap, 0.010, 230)
            else:
                canvas.layer("line").disc(x, y, 0.025, 170, 0.021)


def _broken_clavicle(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        line = clavicle(anatomy, side)
        x, y = line[len(line) // 2]
        canvas.layer("line").stroke([(x - 0.04, y - 0.012), (x + 0.04, y + 0.014)], 0.030, 200)
        if finding.code.heading == "Fractures, Bone" and not finding.has("healed"):
            canvas.layer("gas").stroke([(x - 0.008, y - 0.03), (x + 0.008, y + 0.03)], 0.009, 230)


def _compressed_vertebra(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """A flattened vertebral body: dense and wide, beside a gap."""
    count = 2 if finding.has("multiple") else 1
    for x, y in _chosen_vertebrae(anatomy, finding, count):
        wedge = [(x - 0.042, y - 0.012), (x + 0.042, y - 0.006),
                 (x + 0.042, y + 0.012), (x - 0.042, y + 0.012)]  # fmt: skip
        canvas.layer("spur").shape(wedge, 170)
        canvas.layer("gas").stroke([(x - 0.036, y - 0.022), (x + 0.036, y - 0.018)], 0.010, 90)


def _dented_wall(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    for side in finding.sides:
        lung = anatomy.lungs[side]
        y = lung.apex + 0.6 * (lung.base - lung.apex)
        x = float(lung.lateral(y))
        canvas.haze += 2.0 * blob(x, y, 0.05, 0.09, flat=True)
        canvas.layer("line").stroke([(x - side * 0.03, y - 0.08), (x - side * 0.03, y + 0.08)],
                                    0.012, 150)  # fmt: skip


@paints("Funnel Chest", "Pectus Carinatum")
def _pectus(anatomy: Anatomy, canvas: Canvas, finding: Finding) -> None:
    """The sunken sternum blurs the right heart border; the keeled one shows as a dense line."""
    x, y = anatomy.midline, anatomy.apex + 0.62 * (anatomy.base - anatomy.apex)
    if finding.code.heading == "Funnel Chest":
        canvas.haze += 1.4 * blob(x - 0.11, y + 0.05, 0.07, 0.13)
    else:
        canvas.layer("line").stroke(
            [(x - 0.02, anatomy.apex), (x - 0.02, anatomy.base)], 0.012, 150
        )
