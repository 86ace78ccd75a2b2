"""An anomaly map as colours, alone or over its image."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from irp_kedro.features.preparation import Pixels

# Stops of matplotlib's inferno: brightness rises evenly, so that it reads in grey and without red or green.
STOPS = (
    (0.0, (0, 0, 4)),
    (0.25, (87, 16, 110)),
    (0.5, (188, 55, 84)),
    (0.75, (249, 142, 9)),
    (1.0, (252, 255, 164)),
)
STRONGEST = 0.75  # opacity of the highest value; the image stays visible below it

Values = npt.NDArray[np.floating]


def scaled(values: Values, low: float, high: float) -> npt.NDArray[np.float64]:
    """Return a map with ``low`` as 0 and ``high`` as 1, cut off beyond them; a flat scale gives 0.

    >>> scaled(np.array([0.0, 1.0, 3.0]), 1.0, 2.0).tolist()
    [0.0, 0.0, 1.0]
    """
    if not high > low:
        return np.zeros(np.shape(values))
    return ((values.astype(np.float64) - low) / (high - low)).clip(0, 1)


def coloured(share: npt.NDArray[np.float64]) -> Pixels:
    """Return a scaled map (height, width) in colours, (height, width, 3)."""
    places = [place for place, _ in STOPS]
    channels = [np.interp(share, places, [colour[i] for _, colour in STOPS]) for i in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlaid(pixels: Pixels, share: npt.NDArray[np.float64]) -> Pixels:
    """Return an image with its scaled map over it, whatever grid that is on; low values leave it as it is.

    Args:
        pixels: (height, width, 3).
        share: (rows, columns), 0 to 1, over the whole image.
    """
    height, width = pixels.shape[:2]
    grid = Image.fromarray(share.astype(np.float32))
    fine = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64).clip(0, 1)
    opacity = STRONGEST * fine[..., None]
    return (pixels * (1 - opacity) + coloured(fine) * opacity).round().astype(np.uint8)
