"""`python -m cxr_mtl` is `cxr-mtl`."""

from cxr_mtl.cli import main

main()
