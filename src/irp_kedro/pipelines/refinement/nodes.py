"""Nodes of ``refinement``: the blind loop, then the record of it with paths joined."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core.evaluation import label_free_threshold
from irp_kedro.core.manifest import as_manifest
from irp_kedro.core.records import cycle_history, removal_log
from irp_kedro.parameters import (
    EvaluationParameters,
    FlowParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
)

# Types that import torch are loaded inside the nodes, so that listing the pipelines stays quick.


def settle_loop(
    detector: str,
    refinement: RefinementParameters,
    training: TrainingParameters,
    flow: FlowParameters,
    views: ViewParameters,
    seed: int,
    device: str,
) -> Any:
    """Gather what every strategy shares, so that they differ in nothing but their loop."""
    from irp_kedro.strategies import LoopSettings

    return LoopSettings(
        detector=detector,
        refinement=refinement,
        training=training,
        flow=flow,
        views=views,
        seed=seed,
        device=device,
    )


def vanilla(training_manifest: pd.DataFrame, feature_bank: Any, loop_settings: Any) -> Iterator[Any]:
    """Train on the set as it is; nothing leaves."""
    yield from _cycles("vanilla", training_manifest, feature_bank, loop_settings)


def one_shot_removal(training_manifest: pd.DataFrame, feature_bank: Any, loop_settings: Any) -> Iterator[Any]:
    """Train, remove once all that exceeds the threshold, go on training."""
    yield from _cycles("one_shot_removal", training_manifest, feature_bank, loop_settings)


def iterative_refinement(
    training_manifest: pd.DataFrame, feature_bank: Any, loop_settings: Any
) -> Iterator[Any]:
    """Score, remove, retrain, cycle by cycle (Algorithm 1); each cycle is saved as soon as it is done."""
    yield from _cycles("iterative_refinement", training_manifest, feature_bank, loop_settings)


STRATEGY_NODES: dict[Strategy, Callable[..., Iterator[Any]]] = {
    "vanilla": vanilla,
    "one_shot_removal": one_shot_removal,
    "iterative_refinement": iterative_refinement,
}


def record_refinement(
    snapshots: list[Any], training_manifest: pd.DataFrame, loop_settings: Any, evaluation: EvaluationParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Any]:
    """Return refined manifest, removal log, cycle history and model; the paths are joined only here."""
    manifest = as_manifest(training_manifest)
    last = snapshots[-1]
    kept = manifest[manifest["image_id"].isin(last.record.kept)].reset_index(drop=True)
    rule = loop_settings.refinement
    log = removal_log(
        [cycle.record for cycle in snapshots],
        manifest,
        policy=rule.policy,
        scoring=rule.scoring,
        detector=loop_settings.detector,
        judge=loop_settings.judge,
    )
    history = cycle_history([(cycle.record, cycle.seconds) for cycle in snapshots])
    scores = np.array(list(last.record.final_scores.values()))
    threshold = label_free_threshold(scores, false_alarm_rate=evaluation.false_alarm_rate)
    stored = {"threshold": threshold, "false_alarm_rate": evaluation.false_alarm_rate}
    model = replace(last.trained, config={**last.trained.config, **stored})
    return kept, log, history, model


def _cycles(strategy: Strategy, manifest: pd.DataFrame, bank: Any, settings: Any) -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import Progress

    from irp_kedro.strategies import run_strategy

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(strategy, total=settings.training.epochs)

        def observe(loss: float) -> None:
            bar.update(task, advance=1, description=f"{strategy}: epochs, loss {loss:.3f}")

        yield from run_strategy(strategy, as_manifest(manifest), bank, settings, observe)
