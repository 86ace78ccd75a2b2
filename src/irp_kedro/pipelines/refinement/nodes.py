"""Nodes of ``refinement``: the blind loop, then the record of it with paths joined."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from irp_kedro.core.manifest import as_manifest
from irp_kedro.core.records import cycle_history, removal_log
from irp_kedro.core.review import Review
from irp_kedro.lineage.record import Provenance, banks_digest, json_digest, manifest_digest, software_versions
from irp_kedro.measuring_parameters import EvaluationParameters, LineageParameters
from irp_kedro.naming import cell_name, result_digest, review_digest
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
    check_parameters,
)

# Types that import torch are loaded inside the nodes, so that listing the pipelines stays quick.


def settle_loop(
    detector: str,
    refinement: RefinementParameters,
    training: TrainingParameters,
    flow: FlowParameters,
    views: ViewParameters,
    patches: PatchParameters,
    seed: int,
    device: str,
    review: pd.DataFrame,
) -> Any:
    """Gather what every strategy shares, so that they differ in nothing but their loop."""
    from irp_kedro.judges import LoopSettings

    return LoopSettings(
        detector=detector,
        refinement=refinement,
        training=training,
        flow=flow,
        views=views,
        patches=patches,
        seed=seed,
        device=device,
        review=Review.of(review),
    )


def list_snapshot_contents(
    training_manifest: pd.DataFrame, prepared_images: Any, lineage: LineageParameters
) -> Any:
    """State which images snapshots hold: the source files' own bytes, or the prepared pixels."""
    from irp_kedro.datasets.snapshot_contents import Contents

    prepared = prepared_images if lineage.content == "prepared" else None
    return Contents(training=as_manifest(training_manifest), prepared=prepared)


def state_provenance(
    manifest: pd.DataFrame,
    contamination_record: dict[str, Any],
    feature_bank: Any,
    patch_bank: Any,
    parameters: dict[str, Any],
) -> Provenance:
    """State where every snapshot of this run comes from: images, parameters, features, code and software."""
    from irp_kedro.judges import resolve_device
    from irp_kedro.lineage.code_state import code_state, source_digest

    checked = check_parameters(parameters)
    revision, changed = code_state()
    return Provenance(
        cell=cell_name(checked),
        content=checked.lineage.content,
        parameters=result_digest(checked),
        source_manifest=manifest_digest(as_manifest(manifest)),
        contamination_record=json_digest(contamination_record),
        feature_bank=banks_digest(feature_bank.digest, patch_bank.digest if patch_bank.digests else ""),
        code_revision=revision,
        code_changed=changed,
        code=source_digest(),
        device=str(resolve_device(checked.device)),
        versions=software_versions(),
        review=review_digest(checked.refinement.review),
    )


def vanilla(
    training: pd.DataFrame,
    bank: Any,
    patches: Any,
    settings: Any,
    contents: Any,
    provenance: Any,
    checkpoints: Any,
    images: Any = None,
) -> Iterator[Any]:
    """Train on the set as it is; nothing leaves."""
    yield from _cycles(
        "vanilla", training, (bank, patches, images), settings, contents, provenance, checkpoints
    )


def one_shot_removal(
    training: pd.DataFrame,
    bank: Any,
    patches: Any,
    settings: Any,
    contents: Any,
    provenance: Any,
    checkpoints: Any,
    images: Any = None,
) -> Iterator[Any]:
    """Train, remove once all that exceeds the threshold, go on training."""
    yield from _cycles(
        "one_shot_removal", training, (bank, patches, images), settings, contents, provenance, checkpoints
    )


def iterative_refinement(
    training: pd.DataFrame,
    bank: Any,
    patches: Any,
    settings: Any,
    contents: Any,
    provenance: Any,
    checkpoints: Any,
    images: Any = None,
) -> Iterator[Any]:
    """Score, remove, retrain, cycle by cycle (Algorithm 1); each cycle is saved as soon as it is done."""
    yield from _cycles(
        "iterative_refinement", training, (bank, patches, images), settings, contents, provenance, checkpoints
    )


STRATEGY_NODES: dict[Strategy, Callable[..., Iterator[Any]]] = {
    "vanilla": vanilla,
    "one_shot_removal": one_shot_removal,
    "iterative_refinement": iterative_refinement,
}


def record_refinement(
    snapshots: list[Any], training_manifest: pd.DataFrame, loop_settings: Any
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return refined manifest, removal log and cycle history; the paths are joined only here."""
    manifest = as_manifest(training_manifest)
    last = snapshots[-1]
    kept = manifest[manifest["image_id"].isin(last.record.kept)].reset_index(drop=True)
    kept["doubtful"] = kept["image_id"].isin(last.record.doubtful)
    kept["variant"] = kept["image_id"].isin(last.record.variants)
    log = _log([cycle.record for cycle in snapshots], manifest, loop_settings)
    history = cycle_history([(cycle.record, cycle.seconds) for cycle in snapshots])
    return kept, log, history


def settle_threshold(
    snapshots: list[Any],
    training_manifest: pd.DataFrame,
    bank: Any,
    patches: Any,
    images: Any,
    loop_settings: Any,
    evaluation: EvaluationParameters,
) -> tuple[Any, pd.DataFrame, dict[str, Any]]:
    """Return the model with the threshold that came of held-out scores, those scores, and how it was found."""
    from irp_kedro import thresholds
    from irp_kedro.judges import recipe_for

    settled = thresholds.settle_threshold(
        snapshots[-1],
        as_manifest(training_manifest)[["image_id", "digest"]],
        bank,
        loop_settings,
        evaluation,
        patches=patches,
        images=images,
    )
    # With the recipe the model can be used where nothing else of this run is left.
    recipe = recipe_for(settled.model.detector, bank, patches).as_dict()
    model = replace(settled.model, config={**settled.model.config, "recipe": recipe})
    return model, settled.scores, settled.record


def _cycles(
    strategy: Strategy,
    training: pd.DataFrame,
    features: tuple[Any, Any, Any],
    settings: Any,
    contents: Any,
    provenance: Provenance,
    checkpoints: list[Any],
) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import Progress

    from irp_kedro.datasets.dvc_snapshot import CycleSnapshot
    from irp_kedro.strategies import run_strategy

    manifest = as_manifest(training)
    interrupted = next((point for point in checkpoints if provenance.continues(point.provenance)), None)
    if interrupted:
        provenance = interrupted.provenance  # one chain, one run
    with Progress(console=Console(stderr=True), transient=True) as bar:
        resume = interrupted.point if interrupted else None
        spent = resume.past[-1].epochs if resume and resume.past else 0
        whole = len(manifest)  # images: an epoch without those in doubt is shorter
        task = bar.add_task(strategy, total=settings.training.epochs * whole, completed=spent * whole)

        def observe(loss: float, n_images: int) -> None:
            bar.update(task, advance=n_images, description=f"{strategy}: training, loss {loss:.3f}")

        bank, patches, images = features
        for result in run_strategy(
            strategy, manifest, bank, settings, observe, resume=resume, patches=patches, images=images
        ):
            yield CycleSnapshot(
                strategy=strategy,
                result=result,
                removals=_log([result.record], manifest, settings),
                images=contents,
                provenance=provenance,
            )


def _log(cycles: Sequence[Any], manifest: pd.DataFrame, settings: Any) -> pd.DataFrame:
    rule = settings.refinement
    return removal_log(
        cycles,
        manifest,
        policy=rule.policy,
        scoring=rule.scoring,
        detector=settings.detector,
        judge=settings.judge,
    )
