"""What tests of several rooms need."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
import yaml
from omegaconf import OmegaConf
from PIL import Image

from irp_kedro.detectors.registry import detector_type
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank, FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.features.views import even_angles
from irp_kedro.judges import FeatureLoader, recipe_for
from irp_kedro.lineage.record import Provenance
from irp_kedro.parameters import FlowParameters, PatchParameters, TrainingParameters, ViewParameters

PROJECT = Path(__file__).parents[1]
SIDE, N_SURFACES = 64, 20


@dataclass(frozen=True, kw_only=True)
class Surfaces:
    """Twenty images of a surface, the last with a bright square at its lower left, and their features.

    Digests stand in the order of the files; all but the last are trained on.
    """

    folder: Path
    images: PreparedImages
    bank: FeatureBank
    patches: FeatureBank

    @property
    def digests(self) -> list[str]:
        return list(self.images.paths)

    def features(self, detector: str) -> torch.Tensor:
        return FeatureLoader(self.bank, self.patches, self.digests, "cpu", self.images).of(detector)

    def trained(self, name: str, **settings: Any) -> TrainedDetector:
        """Return a detector with all that `record_refinement` stores in a model."""
        told = DetectorSettings(
            flow=FlowParameters(blocks=2, hidden=16, layers=1),
            training=TrainingParameters(batch_views=32, learning_rate=2e-3, precision="float32"),
            views=ViewParameters(bank=4, train=4, score=4),
            patches=PatchParameters(size=SIDE, per_image=2, references=8, worst=1),
            score="latent_energy",
            seed=0,
        )
        detector = detector_type(name)(self.features(name), replace(told, **settings))
        normal = np.arange(N_SURFACES - 1)
        detector.fit(normal, epochs=40)
        model = detector.export()
        recipe = recipe_for(name, self.bank, self.patches).as_dict()
        stored = {"threshold": float(np.quantile(detector.score(normal), 0.95)), "recipe": recipe}
        return replace(model, config={**model.config, **stored})

    @staticmethod
    def aligned(model: TrainedDetector, alignment: Alignment) -> TrainedDetector:
        """Return a model whose images were laid level."""
        recipe = {**model.config["recipe"], "aligned": asdict(alignment)}
        return replace(model, config={**model.config, "recipe": recipe})

    @staticmethod
    def stating(model: TrainedDetector, *, features: str, training: str) -> TrainedDetector:
        """Return a model that states to be trained in other arithmetic than it was."""
        settings = model.config["settings"]
        changed = {
            "recipe": {**model.config["recipe"], "precision": features},
            "settings": {**settings, "training": {**settings["training"], "precision": training}},
        }
        return replace(model, config={**model.config, **changed})


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tensors are tiny: threads that wait for each other would cost most of the time.

    Features of the same image are the same bits only where the same number of threads makes them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def no_resolvers_left() -> Iterator[None]:
    """Forgets what the configuration loader registers for the whole process."""
    yield
    for name in ("cell", "data_root", "grid", "lineage_folder", "lineage"):
        OmegaConf.clear_resolver(name)


@pytest.fixture(scope="session")
def keep_features(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., FeatureBank]:
    """Puts features (n_images, n_views, n_features), or patches, into a store of their own or beside others."""

    def keep(
        digests: Sequence[str],
        features: npt.NDArray[Any],
        *,
        together: int = 1000,
        patch_levels: int = 0,
        beside: FeatureBank | None = None,
    ) -> FeatureBank:
        recipe = ExtractionRecipe(
            backbone="tiny",
            weights="0" * 16,
            crop="none",
            size=32,
            angles=tuple(even_angles(1 if patch_levels else features.shape[1])),
            scales=(1.0,),
            precision="float32",
            patch_levels=patch_levels,
        )
        store = FeatureStore(beside.store.parent if beside else tmp_path_factory.mktemp("store"))
        for start in range(0, len(digests), together):
            shard = slice(start, start + together)
            store.write_shard(recipe, digests[shard], features[shard].astype(np.float16))
        return store.open(recipe, digests)

    return keep


def surface(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw noise of its own brightness and grain: features vary by much more than half precision rounds."""
    grain = rng.normal(rng.uniform(120, 180), rng.uniform(4, 12), (SIDE, SIDE, 3))
    return grain.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw_surface() -> Callable[[np.random.Generator], npt.NDArray[np.uint8]]:
    return surface


def extracted(drawn: Sequence[npt.NDArray[np.uint8]], folder: Path, store: Path, kept: Preparation) -> Surfaces:
    """Keep the drawn images and their features: pooled ones of squares, patches as ``kept`` prepares them."""
    paths = {f"{number:032x}": folder / f"{number:02}.png" for number in range(len(drawn))}
    for path, pixels in zip(paths.values(), drawn, strict=True):
        Image.fromarray(pixels).save(path)
    plan = ExtractionPlan(
        backbone="efficientnet_lite0",
        scales=(1.0,),
        n_views=4,
        precision="float32",
        batch_views=8,
        shard_images=64,
    )
    on_patches = replace(plan, patch_levels=2, finer=True, coloured=True)
    images, cpu = PreparedImages(paths, kept), torch.device("cpu")
    squares = PreparedImages(paths, Preparation(crop="none", size=SIDE))
    bank, _ = extract(squares, plan, FeatureStore(store), cpu)
    patches, _ = extract(images, on_patches, FeatureStore(store), cpu)
    return Surfaces(folder=folder, images=images, bank=bank, patches=patches)


@pytest.fixture(scope="session")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Surfaces:
    rng = np.random.default_rng(0)
    drawn = [surface(rng) for _ in range(N_SURFACES)]
    drawn[-1][40:52, 12:24] = (240, 240, 60)
    folder, store = tmp_path_factory.mktemp("surfaces"), tmp_path_factory.mktemp("store")
    return extracted(drawn, folder, store, Preparation(crop="none", size=SIDE))


@pytest.fixture(scope="session")
def oblongs(tmp_path_factory: pytest.TempPathFactory) -> Surfaces:
    """The same, twice as high as wide, the bright square at the very bottom; patches keep the shape."""
    rng = np.random.default_rng(0)
    drawn = [np.concatenate([surface(rng), surface(rng)]) for _ in range(N_SURFACES)]
    drawn[-1][-30:-6, 4:28] = (240, 240, 60)
    folder, store = tmp_path_factory.mktemp("oblongs"), tmp_path_factory.mktemp("store")
    return extracted(drawn, folder, store, Preparation(crop="none", size=136, aspect=0.5))


@pytest.fixture(scope="session")
def provenance_of() -> Callable[..., Provenance]:
    """States where snapshots come from: nothing in particular, but for what is named."""

    def state(**named: Any) -> Provenance:
        nothing: dict[str, Any] = {
            "cell": "cell",
            "content": "source",
            "parameters": "0" * 8,
            "source_manifest": "",
            "contamination_record": "",
            "feature_bank": "",
            "code_revision": "",
            "code_changed": None,
            "code": "",
            "device": "cpu",
            "versions": {},
            "run": "first run",
        }
        return Provenance(**nothing | named)

    return state


@pytest.fixture(scope="session")
def paper_results() -> pd.DataFrame:
    """The published figures as the catalog loads them."""
    entry = yaml.safe_load((PROJECT / "conf/base/catalog.yml").read_text(encoding="utf-8"))["paper_results"]
    return pd.read_csv(PROJECT / entry["filepath"], **entry["load_args"])
