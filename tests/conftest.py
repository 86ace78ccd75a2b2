"""What tests of several rooms need."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from irp_kedro.detectors.registry import detector_type
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.bank import FeatureBank, FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.judges import FeatureLoader, recipe_for
from irp_kedro.lineage.record import Provenance
from irp_kedro.parameters import FlowParameters, PatchParameters, TrainingParameters, ViewParameters

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
            training=TrainingParameters(batch_views=32, learning_rate=2e-3),
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


@pytest.fixture(scope="session")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> Surfaces:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # these tensors are tiny
    folder = tmp_path_factory.mktemp("surfaces")
    rng = np.random.default_rng(0)
    paths = {f"{number:032x}": folder / f"{number:02}.png" for number in range(N_SURFACES)}
    for number, path in enumerate(paths.values()):
        pixels = rng.normal(150, 6, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
        if number == N_SURFACES - 1:
            pixels[40:52, 12:24] = 240
        Image.fromarray(pixels).save(path)
    images = PreparedImages(paths, Preparation(crop="none", size=SIDE))
    store = FeatureStore(tmp_path_factory.mktemp("store"))
    plan = ExtractionPlan(
        backbone="efficientnet_lite0",
        scales=(1.0,),
        n_views=4,
        precision="float32",
        batch_views=8,
        shard_images=64,
    )
    cpu = torch.device("cpu")
    bank, _ = extract(images, plan, store, cpu)
    patches, _ = extract(images, replace(plan, patch_levels=2, finer=True), store, cpu)
    torch.set_num_threads(before)
    return Surfaces(folder=folder, images=images, bank=bank, patches=patches)


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
