import pytest
from pydantic import ValidationError

from irp_kedro.measuring_parameters import EvaluationParameters, LineageParameters, ReportingParameters
from irp_kedro.parameters import Parameters


def test_the_groups_are_those_of_the_whole_tree() -> None:
    tree = Parameters()
    assert tree.evaluation == EvaluationParameters()
    assert tree.reporting == ReportingParameters()
    assert tree.lineage == LineageParameters()


@pytest.mark.parametrize("fraction", [0.0, 0.95])
def test_neither_none_nor_nearly_all_images_can_be_held_out(fraction: float) -> None:
    with pytest.raises(ValidationError, match="held_out_fraction"):
        EvaluationParameters(held_out_fraction=fraction)
