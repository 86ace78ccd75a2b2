from typing import Any

from irp_kedro.parameters import ContaminationParameters
from irp_kedro.pipelines.contamination.nodes import contaminate_training_set


def test_training_set_test_split_and_record_agree(manifest_of: Any) -> None:
    manifest = manifest_of(
        *[("train", "normal", "")] * 6, *[("test", "normal", "")] * 2, *[("test", "anomalous", "dent")] * 4
    )
    training, test, record = contaminate_training_set(manifest, ContaminationParameters(level=0.5), seed=0)
    injected = [row["image_id"] for row in record["injected"]]
    assert sorted(training.loc[training["label"] == "anomalous", "image_id"]) == sorted(injected)
    assert len(injected) == 2
    assert not set(training["image_id"]) & set(test["image_id"])
    assert record["achieved_contamination"] == 2 / 8


def test_images_without_labels_pass_through_and_the_record_says_so(manifest_of: Any) -> None:
    manifest = manifest_of(*[("train", "unknown", "")] * 5)
    training, test, record = contaminate_training_set(manifest, ContaminationParameters(level=0.5), seed=0)
    assert sorted(training["image_id"]) == sorted(manifest["image_id"])
    assert len(test) == 0
    assert (record["known"], record["achieved_contamination"]) == (False, None)
