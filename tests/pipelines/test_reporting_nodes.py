import pytest

from irp_kedro.errors import ParameterError
from irp_kedro.parameters import Parameters
from irp_kedro.pipelines.reporting.nodes import record_parameters


def test_the_recorded_parameters_are_complete() -> None:
    recorded = record_parameters({"seed": 5})
    assert recorded == Parameters(seed=5).model_dump(mode="json")


def test_an_unknown_parameter_is_not_recorded_but_refused() -> None:
    with pytest.raises(ParameterError, match="sead is no parameter; did you mean 'seed'"):
        record_parameters({"sead": 5})
