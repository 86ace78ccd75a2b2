from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from irp_kedro.core.judging import Apart, Council, HeldOut, InSample, Judge, Opinions, Panel
from irp_kedro.detectors.registry import BankDetector, detector_type
from irp_kedro.errors import IncompleteRunError, ParameterError
from irp_kedro.features.bank import FeatureBank
from irp_kedro.features.residence import StreamedViews
from irp_kedro.judges import FeatureLoader, LoopSettings, build_judge, load_features, resolve_device
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)

N_IMAGES = 30
ODD = np.array([12, 29])
SHAPES = {"pooled": (2, 6), "patches": (16, 4), "colours": (16, 4)}  # of an image
DIGESTS = [f"{number:032x}" for number in range(N_IMAGES)]


@pytest.fixture(scope="module")
def banks(keep_features: Any) -> dict[str, FeatureBank]:
    """Features of every kind; the odd images lie far from the others in each."""
    rng = np.random.default_rng(0)
    opened = {}
    for kind, shape in SHAPES.items():
        features = rng.normal(size=(N_IMAGES, *shape))
        features[ODD] += 9.0
        opened[kind] = keep_features(
            DIGESTS, features, patch_levels=list(SHAPES).index(kind), beside=opened.get("patches")
        )
    return opened


@pytest.fixture
def loader(banks: dict[str, FeatureBank]) -> FeatureLoader:
    return FeatureLoader(banks["pooled"], with_colours(banks), DIGESTS, "cpu")


def with_colours(banks: dict[str, FeatureBank]) -> FeatureBank:
    return replace(banks["patches"], coloured=banks["colours"].recipe)


def loop(*, detector: str = "differnet", **rule: Any) -> LoopSettings:
    """Return a loop whose threshold needs no common scale, so that one judge is no panel."""
    return LoopSettings(
        detector=detector,
        refinement=RefinementParameters(**{"threshold": "mad", "folds": 3, "judge_epochs": 2, **rule}),
        training=TrainingParameters(batch_views=32),
        flow=FlowParameters(blocks=1, hidden=8, layers=1),
        views=ViewParameters(bank=2, train=1, score=2),
        patches=PatchParameters(per_image=4),
        seed=0,
        device="cpu",
    )


def trained_and_judge(
    settings: LoopSettings, features_of: Callable[[str], torch.Tensor]
) -> tuple[BankDetector, Judge]:
    detector = detector_type(settings.detector)(features_of(settings.detector), settings.detector_settings)
    return detector, build_judge(detector, features_of, settings)


def panel_of(settings: LoopSettings, loader: FeatureLoader) -> Panel:
    _, judge = trained_and_judge(settings, loader.of)
    assert isinstance(judge, Panel)
    return judge


@pytest.mark.parametrize(
    ("rule", "judge"),
    [
        ({"scoring": "in_sample", "judge": ""}, InSample),
        ({"scoring": "in_sample", "judge": "differnet"}, InSample),
        ({"scoring": "in_sample", "judge": "gaussian"}, Apart),
        ({"scoring": "held_out", "judge": ""}, HeldOut),
        ({"scoring": "held_out", "judge": "gaussian"}, HeldOut),
        # These leave an image out of its own neighbours, so no folds are needed.
        ({"scoring": "held_out", "judge": "patch_memory"}, Apart),
        ({"scoring": "held_out", "judge": "soft_patch"}, Apart),
    ],
)
def test_scoring_and_judge_choose_who_judges(rule: dict[str, Any], judge: type, loader: FeatureLoader) -> None:
    _, built = trained_and_judge(loop(**rule), loader.of)
    assert type(built) is judge


def test_the_trained_detector_itself_judges_in_sample(loader: FeatureLoader) -> None:
    detector, judge = trained_and_judge(loop(scoring="in_sample", judge="differnet"), loader.of)
    assert isinstance(judge, InSample)
    assert judge.detector is detector
    detector.fit(np.arange(20), epochs=1)
    scores = judge.judge(np.arange(20), cycle=1, outside=np.arange(20, N_IMAGES))
    expected = detector.score_there(np.arange(N_IMAGES), exact=False)
    np.testing.assert_array_equal(scores, expected.numpy())


def council_of(settings: LoopSettings, loader: FeatureLoader) -> Council:
    _, judge = trained_and_judge(settings, loader.of)
    assert isinstance(judge, Council)
    return judge


def test_a_false_discovery_threshold_hears_a_lone_judge_in_robust_deviations(loader: FeatureLoader) -> None:
    council = council_of(loop(threshold="false_discovery", judge="gaussian", alone=""), loader)
    assert [type(member.judge) for member in council.members] == [HeldOut]
    opinions = council.judge(np.arange(N_IMAGES), cycle=1)
    assert np.median(opinions.together) == pytest.approx(0.0, abs=1e-9)
    assert (opinions.alone, opinions.apart) == (None, {})


@pytest.mark.parametrize("alone", ["", "gaussian", "patch_memory+gaussian", "isolation_forest"])
def test_only_judges_that_are_named_may_speak_alone(alone: str, loader: FeatureLoader) -> None:
    asked = loop(threshold="false_discovery", judge="patch_memory+gaussian", alone=alone)
    council = council_of(asked, loader)
    assert [member.alone for member in council.members] == ["patch_memory" in alone, "gaussian" in alone]
    opinions = council.judge(np.arange(N_IMAGES), cycle=1)
    assert (opinions.alone is not None) == ("gaussian" in alone)


def test_colour_is_heard_apart_from_others_but_where_there_are_none(loader: FeatureLoader) -> None:
    asked = loop(threshold="false_discovery", judge="patch_memory+colour_memory", alone="patch_memory")
    council = council_of(asked, loader)
    assert [member.apart for member in council.members] == ["", "colour_memory"]
    opinions = council.judge(np.arange(N_IMAGES), cycle=1)
    assert set(np.argsort(opinions.apart["colour_memory"])[-2:]) == set(ODD)
    lone = council_of(loop(threshold="false_discovery", judge="colour_memory"), loader)
    assert [member.apart for member in lone.members] == [""]
    assert set(np.argsort(lone.judge(np.arange(N_IMAGES), cycle=1).together)[-2:]) == set(ODD)


def test_a_panel_hears_nobody_apart(loader: FeatureLoader) -> None:
    panel = panel_of(loop(threshold="mad", judge="patch_memory+gaussian+colour_memory"), loader)
    assert [type(judge) for judge, _ in panel.judges] == [Apart, HeldOut]


@pytest.mark.parametrize("threshold", ["false_discovery", "mad"])
def test_of_grey_images_nobody_judges_the_colour(
    threshold: str, banks: dict[str, FeatureBank], loader: FeatureLoader, keep_features: Any
) -> None:
    grey = keep_features(DIGESTS, np.zeros((N_IMAGES, 16, 4)), patch_levels=3, beside=banks["patches"])
    all_grey = FeatureLoader(banks["pooled"], replace(banks["patches"], coloured=grey.recipe), DIGESTS, "cpu")
    asked = loop(threshold=threshold, judge="patch_memory+gaussian+colour_memory")
    _, of_grey = trained_and_judge(asked, all_grey.of)
    _, without = trained_and_judge(loop(threshold=threshold, judge="patch_memory+gaussian"), loader.of)
    said = [np.array(_opinions(judge.judge(np.arange(N_IMAGES), cycle=1))) for judge in (of_grey, without)]
    np.testing.assert_array_equal(*said)


def _opinions(said: Any) -> list[Any]:
    return [said.together, said.alone, *said.apart.values()] if isinstance(said, Opinions) else [said]


def test_the_judges_of_a_council_keep_the_order_of_their_names(loader: FeatureLoader) -> None:
    asked = loop(threshold="false_discovery", judge="differnet+patch_memory+gaussian", scoring="in_sample")
    members = council_of(asked, loader).members
    assert [type(member.judge) for member in members] == [InSample, Apart, Apart]
    assert [member.by_logarithm for member in members] == [True, False, True]


@pytest.mark.parametrize("threshold", ["mad", "iqr"])
def test_several_judges_are_one_panel_in_the_order_of_their_names(
    threshold: str, loader: FeatureLoader
) -> None:
    asked = loop(threshold=threshold, judge="differnet+patch_memory+gaussian", scoring="in_sample")
    panel = panel_of(asked, loader)
    assert [type(judge) for judge, _ in panel.judges] == [InSample, Apart, Apart]
    assert [by_logarithm for _, by_logarithm in panel.judges] == [True, False, True]


@pytest.mark.parametrize(("score", "positive"), [("latent_energy", True), ("negative_log_likelihood", False)])
def test_scores_of_a_flow_that_may_be_negative_are_not_compared_by_their_logarithm(
    score: str, positive: bool, loader: FeatureLoader
) -> None:
    panel = panel_of(loop(judge="differnet+gaussian", score=score), loader)
    assert [by_logarithm for _, by_logarithm in panel.judges] == [positive, True]


@pytest.mark.parametrize("detector", ["differnet", "gaussian"])
def test_a_panel_finds_what_is_odd_within_the_set_and_outside_it(detector: str, loader: FeatureLoader) -> None:
    panel = panel_of(loop(detector=detector, judge="patch_memory+gaussian"), loader)
    inside, outside = np.arange(25), np.arange(25, N_IMAGES)
    scores = panel.judge(inside, cycle=1, outside=outside)
    assert scores.shape == (N_IMAGES,)
    assert set(np.argsort(scores)[-2:]) == set(ODD)


def test_judges_are_trained_for_epochs_of_their_own(loader: FeatureLoader) -> None:
    (held_out, _), (apart, _) = panel_of(loop(judge="gaussian+patch_memory", judge_epochs=9), loader).judges
    assert isinstance(held_out, HeldOut)
    assert isinstance(apart, Apart)
    assert (held_out.folds, held_out.epochs, apart.epochs) == (3, 9, 9)


def test_a_judge_works_on_its_own_kind_of_features_and_shares_those_of_the_trained_kind(
    loader: FeatureLoader,
) -> None:
    asked: list[str] = []

    def features_of(name: str) -> torch.Tensor:
        asked.append(name)
        return loader.of(name)

    trained_and_judge(loop(detector="gaussian", judge="gaussian+patch_memory"), features_of)
    assert asked == ["gaussian", "patch_memory"]


def test_the_log_names_all_judges_and_the_trained_kind_where_none_is_named() -> None:
    assert loop(judge="").judge == "differnet"
    assert loop(judge="gaussian").judge == "gaussian"
    assert loop(judge=["patch_memory", "gaussian"]).judge == "patch_memory+gaussian"


def test_detectors_are_told_how_patches_are_remembered() -> None:
    assert loop().detector_settings.patches == PatchParameters(per_image=4)


def test_each_kind_of_features_is_read_once(loader: FeatureLoader) -> None:
    assert loader.of("gaussian") is loader.of("differnet")
    assert loader.of("patch_memory") is loader.of("soft_patch")
    one_of_each = {"pooled": "gaussian", "patches": "soft_patch", "colours": "colour_memory"}
    shapes = {kind: loader.of(name).shape for kind, name in one_of_each.items()}
    assert shapes == {kind: (N_IMAGES, *shape) for kind, shape in SHAPES.items()}


def test_features_come_in_the_order_asked(banks: dict[str, FeatureBank]) -> None:
    everything = load_features(banks["patches"], DIGESTS, "cpu")
    assert torch.equal(load_features(banks["patches"], [DIGESTS[3], DIGESTS[0]], "cpu"), everything[[3, 0]])


@pytest.mark.parametrize("given", ["none", "empty"])
def test_patches_that_were_not_extracted_are_missed_only_when_a_detector_asks_for_them(
    given: str, banks: dict[str, FeatureBank], tmp_path: Path
) -> None:
    patches = None if given == "none" else FeatureBank.empty(tmp_path)
    loader = FeatureLoader(banks["pooled"], patches, DIGESTS, "cpu")
    assert len(loader.of("gaussian")) == N_IMAGES
    with pytest.raises(IncompleteRunError, match=r"'patch_memory' works on patches .* --pipelines features"):
        loader.of("patch_memory")


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_cuda_where_there_is_one(
    available: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto").type == expected
    assert resolve_device("cpu").type == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_by_name_without_cuda_says_what_to_do(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match=f"device = '{device}', but .* use --params device=cpu"):
        resolve_device(device)


def test_a_detector_that_cannot_stream_says_so_where_its_features_do_not_fit(
    loader: FeatureLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("irp_kedro.judges.place", StreamedViews)
    assert isinstance(loader.of("differnet"), StreamedViews)
    with pytest.raises(ParameterError, match="'patch_memory' needs them there; use --params device=cpu"):
        loader.of("patch_memory")


@pytest.mark.parametrize("name", ["gaussian", "differnet"])
def test_scores_of_all_folds_come_in_one_transfer_and_are_the_same(name: str, loader: FeatureLoader) -> None:
    _, judge = trained_and_judge(loop(judge=name, scoring="held_out"), loader.of)
    assert isinstance(judge, HeldOut)
    one_by_one = replace(
        judge, score=lambda fold, rows: judge.score(fold, rows).numpy(), collect=lambda folds: folds
    )
    rows, outside = np.arange(25), np.arange(25, N_IMAGES)
    together = judge.judge(rows, cycle=1, outside=outside)
    np.testing.assert_array_equal(together, one_by_one.judge(rows, cycle=1, outside=outside))
