"""Pictures for the other scripts: the files of a folder, and their luma."""

from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


def luma(picture: Image.Image) -> np.ndarray:
    """uint8 [h, w]: BT.601 full range luma, as Pillow defines it."""
    return np.asarray(picture.convert("YCbCr"))[..., 0]


def pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, sorted by name. Fails if there are none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))}) in this folder")
    return found
