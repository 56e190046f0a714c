"""The layers a phantom is composed of: strokes drawn at twice the size, clouds at a low one.

Positions and widths are fractions of the image, so every size shows the same scene.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COARSE = 64
"""Side of the grid that smooth fields are computed on before they are enlarged."""
_CENTRES = (np.arange(COARSE, dtype=np.float32) + 0.5) / COARSE
COARSE_Y, COARSE_X = np.meshgrid(_CENTRES, _CENTRES, indexing="ij")

Points = np.ndarray | Sequence[tuple[float, float]]


class Layer:
    """A grey picture of strokes and shapes, drawn at twice the size for smooth edges."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.scale = 2 * size
        self.image = Image.new("L", (self.scale, self.scale))
        self.pen = ImageDraw.Draw(self.image)

    def _pixels(self, points: Points) -> list[float]:
        return (np.asarray(points) * self.scale).ravel().tolist()

    def shape(self, points: Points, value: int) -> None:
        """A filled polygon."""
        self.pen.polygon(self._pixels(points), fill=value)

    def stroke(self, points: Points, width: float, value: int) -> None:
        """A line through the points."""
        pixels = max(1, round(width * self.scale))
        self.pen.line(self._pixels(points), fill=value, width=pixels, joint="curve")

    def shapes(self, outlines: np.ndarray, value: int) -> None:
        """Many filled polygons of equally many points, [n, points, 2]."""
        for outline in (outlines * self.scale).reshape(len(outlines), -1).tolist():
            self.pen.polygon(outline, fill=value)

    def strokes(self, lines: np.ndarray, widths: np.ndarray, values: np.ndarray) -> None:
        """Many lines of equally many points, [n, points, 2]; a width and a value each [n]."""
        pixels = np.maximum(1, np.round(widths * self.scale)).astype(int).tolist()
        flat = (lines * self.scale).reshape(len(lines), -1).tolist()
        for line, width, value in zip(flat, pixels, values.astype(int).tolist(), strict=True):
            self.pen.line(line, fill=value, width=width)

    def disc(self, x: float, y: float, rx: float, value: int, ry: float | None = None) -> None:
        """A filled ellipse."""
        self.pen.ellipse(self._box(x, y, rx, ry), fill=value)

    def ring(self, x: float, y: float, rx: float, width: float, value: int) -> None:
        """The outline of a circle."""
        pixels = max(1, round(width * self.scale))
        self.pen.ellipse(self._box(x, y, rx, None), outline=value, width=pixels)

    def _box(self, x: float, y: float, rx: float, ry: float | None) -> list[float]:
        ry = rx if ry is None else ry
        return self._pixels([(x - rx, y - ry), (x + rx, y + ry)])

    def pixels(self, blur: float = 0.0) -> np.ndarray:
        """The layer as float32 [size, size] in 0-1, blurred by a fraction of the image."""
        image = self.image.reduce(2)
        if blur * self.size > 0.35:
            image = image.filter(ImageFilter.GaussianBlur(blur * self.size))
        return np.asarray(image, dtype=np.float32) / 255


class Canvas:
    """What the findings add to a chest: layers made when first drawn on.

    Layers: `water` fills the lungs' air; `strand` are soft strokes within the lungs, `spur` and
    `line` soft and `dense` sharp ones anywhere; `gas` takes tissue away, `cover` adds it.
    `haze` [COARSE, COARSE] fills air smoothly, `fluff` with the texture of clouds, and `net` lays
    fine reticular shadows over the lungs.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.layers: dict[str, Layer] = {}
        self.haze = np.zeros((COARSE, COARSE), np.float32)
        self.fluff = np.zeros((COARSE, COARSE), np.float32)
        self.net = np.zeros((COARSE, COARSE), np.float32)

    def layer(self, name: str) -> Layer:
        if name not in self.layers:
            self.layers[name] = Layer(self.size)
        return self.layers[name]

    def pixels(self, name: str, blur: float = 0.0) -> np.ndarray | float:
        """A layer's pixels, or 0 where nothing was drawn on it."""
        return self.layers[name].pixels(blur) if name in self.layers else 0.0


def blob(x: float, y: float, rx: float, ry: float, flat: bool = False) -> np.ndarray:
    """A smooth spot [COARSE, COARSE], 1 at its centre; a flat one has a plateau and an edge."""
    across, down = ((_CENTRES - x) / rx) ** 2, ((_CENTRES - y) / ry) ** 2
    if flat:
        return np.exp(-np.square(down[:, None] + across))
    return np.exp(-down)[:, None] * np.exp(-across)


def enlarge(coarse: np.ndarray, size: int) -> np.ndarray:
    """A coarse field as float32 [size, size]."""
    image = Image.fromarray(np.ascontiguousarray(coarse, dtype=np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def smooth_curve(points: Points, per_span: int = 8, closed: bool = False) -> np.ndarray:
    """A Catmull-Rom curve through the points, [spans * per_span (+ 1), 2]."""
    points = np.asarray(points, dtype=float)
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([points[:1], points, points[-1:]])
    spans = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)])
    curve = np.einsum("tk,ksd->std", _catmull_rom(per_span), spans).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


@cache
def _catmull_rom(per_span: int) -> np.ndarray:
    t = np.arange(per_span)[:, None] / per_span
    basis = np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]]) / 2
    return t ** np.arange(4) @ basis


@cache
def _noise_tiles() -> tuple[Image.Image, Image.Image, np.ndarray]:
    """Tiles [512, 512]: cloudy (1/f) noise, a net in 0-1, and white noise; unit variance."""
    rng = np.random.default_rng(2016)
    white = rng.standard_normal((512, 512), dtype=np.float32)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None])
    spectrum = np.fft.fft2(white) / np.maximum(frequency, 4 / 512) ** 1.6
    cloudy = np.fft.ifft2(spectrum).real.astype(np.float32)
    band = np.exp(-(((frequency - 0.07) / 0.03) ** 2))
    cells = np.fft.ifft2(np.fft.fft2(white) * band).real.astype(np.float32)
    net = np.exp(-((cells / (0.30 * cells.std())) ** 2))
    return Image.fromarray(cloudy / cloudy.std()), Image.fromarray(net), white


def clouds(rng: np.random.Generator, size: int) -> np.ndarray:
    """A piece of cloudy noise [size, size], unit variance; the same scene at every size."""
    return _crop(_noise_tiles()[0], *rng.integers(256, size=2).tolist(), size)


def meshes(size: int) -> np.ndarray:
    """The lines between irregular cells [size, size] in 0-1, as of thickened septa."""
    return _crop(_noise_tiles()[1], 0, 0, size)


def _crop(tile: Image.Image, x: int, y: int, size: int) -> np.ndarray:
    box = (x, y, x + 256, y + 256)
    return np.asarray(tile.resize((size, size), Image.Resampling.BILINEAR, box=box))


def grain(rng: np.random.Generator, size: int) -> np.ndarray:
    """White noise [size, size]; averaging pixels into a smaller picture weakens it."""
    x, y = rng.integers(256, size=2).tolist()
    tile = _noise_tiles()[2]
    rows = (np.arange(y, y + size) % 512)[:, None]
    columns = (np.arange(x, x + size) % 512)[None]
    return tile[rows, columns] * min(1.0, size / 256)
