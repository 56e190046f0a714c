"""What a MeSH code says."""

from cxr_mtl.data.mesh_codes import Code, parse_code


def test_a_code_is_read_with_stray_blanks_and_knows_its_side():
    code = parse_code("Calcified  Granuloma/lung/Upper lobe/right ")
    assert code == Code("Calcified Granuloma", ("lung", "upper lobe", "right"))
    assert code.sides == (-1,)
    assert parse_code("Opacity/lung/lingula").sides == (1,)
    assert parse_code("Opacity/lung/bilateral").sides == (-1, 1)
    assert parse_code("Cardiomegaly").sides == ()
