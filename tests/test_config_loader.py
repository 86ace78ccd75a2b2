from pathlib import Path
from typing import Any

import pytest

from irp_kedro.config_loader import CellConfigLoader, checked
from irp_kedro.errors import ParameterError
from irp_kedro.naming import cell_name

CONF = Path(__file__).parents[1] / "conf"


def loader(env: str = "local", **runtime_params: Any) -> CellConfigLoader:
    return CellConfigLoader(
        str(CONF),
        env=env,
        runtime_params=runtime_params,
        base_env="base",
        default_run_env="local",
        merge_strategy={"parameters": "soft"},
    )


def test_the_catalog_s_paths_carry_the_cell_of_the_merged_parameters() -> None:
    conf = loader(contamination={"level": 0.3}, seed=7)
    path = conf["catalog"]["training_manifest"]["filepath"]
    assert path == f"data/03_primary/{cell_name(checked(conf['parameters']))}/training_manifest.csv"
    assert "level0.3" in path
    assert "seed7" in path


def test_every_file_goes_below_the_data_root_whatever_the_environment() -> None:
    for env in ("local", "paper", "reference"):
        catalog = loader(env, data_root="/elsewhere")["catalog"]
        outside = {
            name
            for name, entry in catalog.items()
            if not name.startswith("_") and not entry["filepath"].startswith("/elsewhere/")
        }
        assert outside == {"paper_results"}  # published, and read only


def test_an_environment_and_params_on_one_group_keep_its_other_keys() -> None:
    parameters = checked(loader("paper", refinement={"max_cycles": 3})["parameters"])
    assert parameters.refinement.max_cycles == 3
    assert parameters.refinement.policy == "worst_only"  # the environment's
    assert parameters.refinement.max_removed_fraction == 0.4  # base's


def test_a_bad_parameter_is_refused_before_the_catalog_is_handed_out() -> None:
    with pytest.raises(ParameterError, match=r"contamination\.levl is no parameter"):
        loader(contamination={"levl": 0.3})["catalog"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": {"name": "mvtec"}}, "did you mean 'mvtec_ad'"),
        ({"detector": "diffrnet"}, "detector = 'diffrnet' is no detector; did you mean 'differnet'"),
        ({"refinement": {"judge": "gausian"}}, r"refinement\.judge = 'gausian'.*did you mean 'gaussian'"),
    ],
)
def test_a_source_detector_or_judge_that_does_not_exist_gets_the_nearest_name(
    wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        checked(wrong)
