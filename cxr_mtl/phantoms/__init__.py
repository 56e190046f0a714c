"""Pictures drawn by a program: phantoms of chests from MeSH codes, and captioned ones.

No phantom is a radiograph. The same codes and seed give the same pixels:

>>> from cxr_mtl.phantoms import draw
>>> small = draw(["Cardiomegaly/mild"], seed=7, size=32)
>>> small.shape, bool((small == draw(["Cardiomegaly/mild"], seed=7, size=32)).all())
((32, 32), True)

They show of a study's codes those that a program can draw, and nothing else of its report:

>>> from cxr_mtl.phantoms import drawn_codes
>>> drawn_codes(["Cardiomegaly/mild", "Colonic Interposition/mediastinum"])
['Cardiomegaly/mild']
"""

from cxr_mtl.phantoms.archive import draw_phantoms
from cxr_mtl.phantoms.phantom import draw, drawn_codes

__all__ = [
    "draw",
    "draw_phantoms",
    "drawn_codes",
]
