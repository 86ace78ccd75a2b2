"""Draw what the judges of a labelled cell could not know: defects that rank as normal, good images that do not.

    python studies/recovery/unknown.py CELL            CELL: a folder below data/07_model_output
    python studies/recovery/unknown.py CELL --output FILE.png

Above, the injected defects that rank lowest; below, the good images that rank highest. Labels are read after
the fact from the cell's suspicion_ranking.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from PIL import Image

ROOT = Path(__file__).parents[2]


def draw(ranking: pd.DataFrame, columns: int, output: Path) -> None:
    """Write the picture of one cell's ``suspicion_ranking``."""
    bad = ranking["label"] == "anomalous"
    rows = {
        f"{bad.sum()} defects were injected; the ones that look most normal": ranking[bad].iloc[::-1],
        f"{(~bad).sum()} good images; the ones that look most unusual": ranking[~bad],
    }
    figure = plt.figure(figsize=(1.5 * columns, 4.4), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(2, 1), rows.items(), strict=True):
        part.suptitle(title, fontsize=10, x=0.01, ha="left")
        for axes in (panels := part.subplots(1, columns)):
            axes.set_axis_off()
        for axes, image in zip(panels, images.head(columns).itertuples(), strict=False):
            axes.imshow(Image.open(image.path).convert("RGB"))
            left = "left" if image.removed else "stayed"
            axes.set_title(f"{image.defect_type}\nrank {image.rank}, {left}", fontsize=7)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=100)


def main() -> None:
    """Draw one cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="data_root of the run")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--output", type=Path, help="default: unknown.png beside the cell's report")
    options = parser.parse_args()
    file = options.data / "07_model_output" / options.cell / "iterative_refinement" / "suspicion_ranking.csv"
    if not file.is_file():
        raise SystemExit(f"{file} does not exist; kedro run writes it, for a cell with labels")
    default = options.data / "08_reporting" / options.cell / "unknown.png"
    draw(pd.read_csv(file, keep_default_na=False), options.columns, options.output or default)


if __name__ == "__main__":
    main()
