import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from irp_kedro.detectors.settings import DetectorSettings

Settings = Callable[..., DetectorSettings]


def test_settings_survive_a_detour_through_json(settings: Settings) -> None:
    original = settings(score="negative_log_likelihood", seed=2**62)
    assert DetectorSettings.from_config(json.loads(json.dumps(original.as_config()))) == original


def test_settings_with_an_unknown_key_are_refused(settings: Settings) -> None:
    config = settings().as_config()
    config["flow"]["blcks"] = 3
    with pytest.raises(ValidationError, match="blcks"):
        DetectorSettings.from_config(config)


def test_settings_do_not_change(settings: Settings) -> None:
    with pytest.raises(AttributeError):
        settings().seed = 1  # type: ignore[misc]
