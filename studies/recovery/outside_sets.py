"""Lay out ten public sets of images from outside, from checkouts of eight repositories.

    git clone https://github.com/abin24/Magnetic-tile-defect-datasets. magnetic_tile
    git clone https://github.com/zae-bayern/elpv-dataset elpv
    git clone https://github.com/tangsanli5201/DeepPCB deep_pcb
    git clone https://github.com/idinyte/SimpleNet_SDU layup
    git clone https://github.com/matlab-deep-learning/pillQC pill_qc
    git clone https://github.com/2Obe/BSData ball_screw
    git clone https://github.com/maomao7784/Casting-Product-Quality-Inspection casting
    git clone https://github.com/aws-samples/amazon-lookout-for-vision lookout
    python studies/recovery/outside_sets.py --checkouts . --to FOLDER
    kedro irp grid --grid studies/recovery/outside.yml --set images=FOLDER

magnetic_tile
    MT_Free as good, its five kinds of defect (Huang et al., The Visual Computer 2020).
solar_mono, solar_poly
    Solar cells (elpv, Buerhop-Lutz et al. 2018; CC BY-NC-SA 4.0), good where labelled 0, defective where 1.
deep_pcb
    Templates and tested images of the board 20085 (DeepPCB, Tang et al. 2019; MIT): another part of it in each.
layup
    Layers of composite material (SimpleNet_SDU), which that repository keeps in a folder called toothbrush.
pill_qc
    Plain pills on a table (pillQC, MathWorks): some chipped, some with dirt on and around them. Light,
    distance and focus vary, and crumbs lie about good ones too.
ball_screw
    Spindles of ball screws as they wear (BSData, Schlagenhauf et al. 2021; CC BY-SA 4.0), the kind of which
    there are many images: fifteen places over weeks, good until a pitting is marked, and ever more soiled.
casting
    Pump impellers from above, good and defective (casting product image data for quality inspection, R. Dabhi),
    each turned and mirrored several times; one in eleven is another, larger part.
figures, cookies
    Small sets (amazon-lookout-for-vision, CC BY-SA 4.0): plastic figures of which some lack limbs, and
    cookies of which some are broken, photographed freely.

Images are linked where the file system allows it, else copied; the layers are copied as they are. Which of
the other good images train is drawn from seed 0.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

CHECKOUTS = ("magnetic_tile", "elpv", "deep_pcb", "layup", "pill_qc", "ball_screw", "casting", "lookout")
BOARD = "PCBData/group20085/20085"
N_TRAIN, N_TEST, N_DEFECTIVE = 300, 100, 150
N_TEMPLATES, N_TEMPLATES_TEST = 200, 50
N_PILLS, N_PILLS_TEST = 100, 49
N_FIGURES, N_FIGURES_TEST = 40, 18
N_COOKIES, N_COOKIES_TEST = 31, 14


def put(images: Iterable[Path], folder: Path) -> None:
    """Link or copy images into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in images:
        target = folder / image.name
        target.unlink(missing_ok=True)
        try:
            os.link(image, target)
        except OSError:
            shutil.copyfile(image, target)


def shuffled(images: Iterable[Path], seed: int = 0) -> list[Path]:
    """Return images in an order that a seed draws."""
    ordered = sorted(images)
    random.Random(seed).shuffle(ordered)  # noqa: S311 - no secret
    return ordered


def put_good(images: Iterable[Path], folder: Path, n_train: int = N_TRAIN, n_test: int = N_TEST) -> list[Path]:
    """Draw good images to train on and to test on; return those that are left."""
    drawn = shuffled(images)
    put(drawn[:n_train], folder / "train" / "good")
    put(drawn[n_train : n_train + n_test], folder / "test" / "good")
    return drawn[n_train + n_test :]


def magnetic_tile(checkout: Path, folder: Path) -> None:
    """Lay out the magnetic tiles."""
    put_good((checkout / "MT_Free" / "Imgs").glob("*.jpg"), folder)
    for defect in ("Blowhole", "Break", "Crack", "Fray", "Uneven"):
        put((checkout / f"MT_{defect}" / "Imgs").glob("*.jpg"), folder / "test" / defect.lower())


def solar(checkout: Path, folder: Path, kind: str) -> None:
    """Lay out the cells of one kind, ``mono`` or ``poly``."""
    data = checkout / "src" / "elpv_dataset" / "data"
    rows = [line.split() for line in (data / "labels.csv").read_text(encoding="utf-8").splitlines()]
    of_kind = [(data / image, float(probability)) for image, probability, told in rows if told == kind]
    put_good((image for image, probability in of_kind if probability == 0), folder)
    defective = shuffled((image for image, probability in of_kind if probability == 1), seed=1)
    put(defective[:N_DEFECTIVE], folder / "test" / "defective")


def deep_pcb(checkout: Path, folder: Path) -> None:
    """Lay out the board: no template of a tested image is among the good ones, none is there twice."""
    templates = {
        hashlib.sha256(image.read_bytes()).hexdigest(): image
        for image in sorted((checkout / BOARD).glob("*_temp.jpg"), reverse=True)
    }
    left = put_good(templates.values(), folder, N_TEMPLATES, N_TEMPLATES_TEST)
    put(
        (image.with_name(image.name.replace("_temp", "_test")) for image in left), folder / "test" / "defective"
    )


def pill_qc(checkout: Path, folder: Path) -> None:
    """Lay out the plain pills."""
    put_good((checkout / "images" / "normal").glob("*.jpg"), folder, N_PILLS, N_PILLS_TEST)
    for defect in ("chip", "dirt"):
        put((checkout / "images" / defect).glob("*.jpg"), folder / "test" / defect)


def ball_screw(checkout: Path, folder: Path) -> None:
    """Lay out the ball screws of one kind; of the other there are few images, of many sizes."""
    told = json.loads((checkout / "image_data.json").read_text(encoding="utf-8"))["images"]
    of_kind = [(checkout / "data" / row["filename"], row["annotations"]) for row in told if row["type"] == 2]
    put_good((image for image, marked in of_kind if not marked), folder)
    pitted = shuffled((image for image, marked in of_kind if marked), seed=1)
    put(pitted[:N_DEFECTIVE], folder / "test" / "pitting")


def casting(checkout: Path, folder: Path) -> None:
    """Lay out the castings."""
    images = checkout / "data" / "casting_data" / "train"
    put_good((images / "ok_front").glob("*.jpeg"), folder)
    put(shuffled((images / "def_front").glob("*.jpeg"), seed=1)[:N_DEFECTIVE], folder / "test" / "defective")


def figures(checkout: Path, folder: Path) -> None:
    """Lay out the plastic figures."""
    images = checkout / "aliens-dataset"
    put_good((images / "normal").glob("*.png"), folder, N_FIGURES, N_FIGURES_TEST)
    put((images / "anomaly").glob("*.png"), folder / "test" / "incomplete")


def cookies(checkout: Path, folder: Path) -> None:
    """Lay out the cookies, those of its training and its test folder together."""
    images = checkout / "computer-vision-defect-detection" / "cookie-dataset"
    put_good(images.rglob("*normal-*.jpg"), folder, N_COOKIES, N_COOKIES_TEST)
    put(images.rglob("*anomaly-*.jpg"), folder / "test" / "broken")


def main() -> None:
    """Lay out every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkouts", type=Path, required=True, help="folder that holds the checkouts")
    parser.add_argument("--to", type=Path, required=True, help="folder that is to hold the sets")
    asked = parser.parse_args()
    found = {name: asked.checkouts / name for name in CHECKOUTS}
    missing = [name for name, checkout in found.items() if not checkout.is_dir()]
    if missing:
        raise SystemExit(f"{asked.checkouts} holds no checkout called {', '.join(missing)}; see --help")
    magnetic_tile(found["magnetic_tile"], asked.to / "magnetic_tile")
    for kind in ("mono", "poly"):
        solar(found["elpv"], asked.to / f"solar_{kind}", kind)
    deep_pcb(found["deep_pcb"], asked.to / "deep_pcb")
    pill_qc(found["pill_qc"], asked.to / "pill_qc")
    ball_screw(found["ball_screw"], asked.to / "ball_screw")
    casting(found["casting"], asked.to / "casting")
    figures(found["lookout"], asked.to / "figures")
    cookies(found["lookout"], asked.to / "cookies")
    shutil.copytree(found["layup"] / "dataset" / "toothbrush", asked.to / "layup", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
