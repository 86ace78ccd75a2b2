"""Files that are no exported model; what one scores is tested with the export."""

from pathlib import Path

import pytest

from irp_kedro.errors import ModelError
from irp_kedro.onnx_scoring import OnnxScorer

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("no graph")
    with pytest.raises(ModelError, match="cannot be opened by onnxruntime"):
        OnnxScorer(tmp_path / "model.onnx", "cpu")


def test_a_graph_of_another_project_is_refused(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    same = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "same", [value], [same])
    model = onnx.helper.make_model(graph, ir_version=9, opset_imports=[onnx.helper.make_opsetid("", 20)])
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="was not made by this project"):
        OnnxScorer(tmp_path / "model.onnx", "cpu")
