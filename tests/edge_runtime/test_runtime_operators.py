"""Operators of model files, against the packages that write them."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from click.testing import CliRunner
from color_model import ColorModels

from edge_runtime.backends.onnx_operators import read_onnx_operators
from edge_runtime.backends.tflite_operators import read_operators
from edge_runtime.cli import cli
from edge_runtime.errors import ModelError


@pytest.mark.parametrize("form", ["tflite", "tflite_int8"])
def test_tflite(color_models: ColorModels, form: str) -> None:
    """Names, versions and counts as the schema's own classes read them."""
    from ai_edge_litert import schema_py_generated as schema

    data = getattr(color_models, form).read_bytes()
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(data)
    codes = [(names[c.builtinCode], c.version) for c in model.operatorCodes]
    expected = Counter(codes[o.opcodeIndex] for o in model.subgraphs[0].operators)
    found = read_operators(data, "m")
    assert {(o.name, o.version): o.count for o in found} == dict(expected)
    assert [o.count for o in found] == sorted((o.count for o in found), reverse=True)


@pytest.mark.parametrize("data", [b"", b"\x08\0\0\0TFL3", b"\xff" * 64])
def test_tflite_that_is_damaged(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"m\.tflite"):
        read_operators(data, "m.tflite")


def test_onnx(color_models: ColorModels) -> None:
    import onnx

    model = onnx.load(color_models.onnx)
    found = read_onnx_operators(color_models.onnx.read_bytes(), "m")
    assert {o.name: o.count for o in found.operators} == Counter(
        n.op_type for n in model.graph.node
    )
    assert found.opsets["ai.onnx"] == next(o.version for o in model.opset_import if not o.domain)
    assert found.ir_version == model.ir_version
    assert {o.version for o in found.operators} == {found.opsets["ai.onnx"]}


def test_onnx_with_graphs_inside_and_other_domains() -> None:
    """Branches of an If, a domain of its own, a function of the model."""
    from onnx import TensorProto, helper

    def graph(name: str, op: str) -> object:
        out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
        return helper.make_graph([helper.make_node(op, ["x"], ["z"])], name, [], [out])

    nodes = [
        helper.make_node(
            "If", ["c"], ["y"], then_branch=graph("a", "Relu"), else_branch=graph("b", "Sin")
        ),
        helper.make_node("Gelu", ["y"], ["w"], domain="com.microsoft"),
    ]
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "w")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    own = helper.make_opsetid("own", 1)
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets[:1]
    )
    model = helper.make_model(
        helper.make_graph(nodes, "g", sides[:1], sides[1:]),
        opset_imports=[*opsets, own],
        functions=[function],
    )
    found = read_onnx_operators(model.SerializeToString(), "m")
    assert {(o.name, o.version, o.count) for o in found.operators} == {
        ("If", 18, 1),
        ("Relu", 18, 1),
        ("Sin", 18, 1),
        ("Add", 18, 1),
        ("com.microsoft:Gelu", 1, 1),
    }


@pytest.mark.parametrize("data", [b"", b"\x08\x08", b"PK\x03\x04", b"\x3a\xff\x01\x0a"])
def test_onnx_that_is_damaged(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx"):
        read_onnx_operators(data, "m.onnx")


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes of a protocol buffer."""
    size, length = len(payload), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + payload


def test_onnx_that_means_harm() -> None:
    """Graphs inside of graphs without end do not end this process."""
    graph = b""
    for _ in range(2000):  # Python's own limit is 1000 calls
        graph = field(1, field(5, field(6, graph)))  # a node, its attribute, its graph
    with pytest.raises(ModelError, match="graphs inside of each other"):
        read_onnx_operators(field(7, graph), "m.onnx")


@pytest.mark.parametrize("form", ["tflite", "onnx", "bundle"])
def test_info(color_models: ColorModels, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With trial runs, and without: then it says that nothing was tried."""
    interpreter = "onnxruntime" if form == "onnx" else "litert"
    arguments = ["info", str(getattr(color_models, form)), "--interpreter", interpreter]
    quiet = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert json.loads(quiet.stdout)["interpreters"][0]["runs"] is None
    monkeypatch.setenv("EDGE_CLASSIFY_PROBE", "1")
    report = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    (tried,) = report["interpreters"]
    assert tried["runs"] is True and tried["ms"] > 0 and tried["why_not"] is None
    assert sum(o["count"] for o in report["operators"]) >= 3  # pooling, a linear layer, softmax
    text = CliRunner().invoke(cli, arguments).stdout
    assert f"{interpreter} {tried['version']}: yes" in text and "operators" in text
    assert ("opset" in text) is (form == "onnx")


def test_info_of_a_run_has_no_operators(color_models: ColorModels) -> None:
    result = CliRunner().invoke(cli, ["info", str(color_models.run), "--json"])
    report = json.loads(result.stdout)
    assert report["operators"] is None and report["interpreters"] is None
