"""What an experiment is called: by every parameter that can change a result (decision 0021)."""

import hashlib
import json
import re
from pathlib import Path, PurePath

from irp_kedro.errors import ReviewError
from irp_kedro.parameters import Parameters

UNFIT_FOR_A_NAME = re.compile(r"[^\w.-]+")
LONGEST_KIND = 32  # letters: the name stays within 80 columns and any file system's limit


def result_digest(parameters: Parameters) -> str:
    """Return 8 hex digits that identify every parameter able to change a result.

    Device, processes, data_root, cell and lineage say where work is done and kept, batch and shard sizes of
    extraction how it is cut up, checkpoints how much of it a kill loses, calibration changes no run and
    reporting only what is shown of it: they are left out.
    """
    left_out = {"device", "data_root", "cell", "grid", "lineage", "calibration", "reporting"}
    tree = parameters.model_dump(mode="json", exclude=left_out)
    del tree["features"]["batch_views"], tree["features"]["shard_images"]
    del tree["refinement"]["checkpoint_every"], tree["training"]["processes"]
    # A review counts by what it says, wherever it lies.
    tree["refinement"]["review"] = review_digest(parameters.refinement.review)
    if parameters.dataset.name != "sample":
        del tree["sample"]
    if parameters.dataset.path:
        tree["dataset"]["path"] = PurePath(parameters.dataset.path).as_posix()
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:8]


def review_digest(path: str) -> str:
    """Return the MD5 of a review's bytes, as DVC would; nothing where ``path`` is empty.

    Raises:
        ReviewError: the file cannot be read.
    """
    if not path:
        return ""
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ReviewError(f"refinement.review = '{path}' cannot be read: {error.strerror}.") from error
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def cell_name(parameters: Parameters) -> str:
    """Return the folder name of this experiment: readable, and unique to its parameters.

    >>> cell_name(Parameters())[:-8]
    'sample-level0.2-differnet-seed0-'
    >>> cell_name(Parameters(dataset={"name": "image_folder", "path": "/line 3/castings"}))[:-8]
    'image_folder-castings-level0.2-differnet-seed0-'
    """
    dataset = parameters.dataset
    # Sets of one's own are told apart by their folder, as those of a public source by their class.
    own = PurePath(dataset.path).name if dataset.name == "image_folder" else ""
    kind = dataset.product_class or UNFIT_FOR_A_NAME.sub("_", own).strip("._-")[:LONGEST_KIND]
    parts = [dataset.name, kind] if kind else [dataset.name]
    level = f"level{parameters.contamination.level:g}"
    return "-".join([*parts, level, parameters.detector, f"seed{parameters.seed}", result_digest(parameters)])
