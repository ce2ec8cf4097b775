"""Networks of others by a TOML: tiny ones, made here, whose answer is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from livecut import ConfigError, EngineError, ModelError, Segmenter
from livecut.evaluation.external import FORMS, Adapter, External, open_network, read_adapter
from livecut.frame import Image
from tests.commands.test_cli import assert_one_clear_line, run

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"


def network(path: Path, text: str, **constants: int) -> Path:
    """Write an ONNX network from the parser's text form; `constants` are inputs that it holds."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.parser.parse_graph(text)
    for name, value in constants.items():
        graph.initializer.append(
            onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value])
        )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def adapted(path: Path, toml: str, **options: bool) -> External:
    path.with_suffix(".toml").write_text(toml)
    return External(path, path.with_suffix(".toml"), device="cpu", **options)


def colours() -> Image:
    """Blue, green and red rise in different directions, uint8 (24, 40, 3)."""
    ys, xs = np.mgrid[0:24, 0:40]
    return np.dstack([6 * xs, 10 * ys, 255 - 3 * (xs + ys)]).astype(np.uint8)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Gives its picture back: three planes for alpha."""
    text = "g (float[1, 3, H, W] x) => (float[1, 3, H, W] y) { y = Identity(x) }"
    return network(tmp_path / "planes.onnx", text)


def test_colour_order_and_channel(planes: Path) -> None:
    for colour, channel, plane in (("RGB", 0, 2), ("RGB", 2, 0), ("BGR", 0, 0), ("BGR", 1, 1)):
        found = adapted(planes, f'colour = "{colour}"\nchannel = {channel}')(colours())
        assert (found == colours()[..., plane]).all(), (colour, channel)


def test_scaling_and_output_range(planes: Path) -> None:
    blue = colours()[..., 0].astype(int)
    found = adapted(planes, 'colour = "BGR"\nrange = [-1, 1]')(colours())
    assert np.abs(found - np.maximum(0, 2 * blue - 255)).max() <= 1, "what is below 0 is 0"
    found = adapted(planes, 'colour = "BGR"\nrange = [-1, 1]\noutput_range = [-1, 1]')(colours())
    assert np.abs(found - blue).max() <= 1
    toml = 'colour = "BGR"\nmean = [0.2, 0.5, 0.5]\nstd = [0.5, 9, 9]\noutput_range = [1.6, -0.4]'
    assert np.abs(adapted(planes, toml)(colours()) - (255 - blue)).max() <= 1
    found = adapted(planes, 'colour = "BGR"\nrange = [0, 255]\noutput_range = [0, 255]')(colours())
    assert (found == blue).all()


def test_activation(planes: Path) -> None:
    values = colours().astype(np.float64) / 255 * 8 - 4
    toml = 'colour = "BGR"\nrange = [-4, 4]\nchannel = 1\nactivation = '
    sigmoid = 255 / (1 + np.exp(-values[..., 1]))
    assert np.abs(adapted(planes, toml + '"sigmoid"')(colours()) - sigmoid).max() < 1
    softmax = 255 * np.exp(values[..., 1]) / np.exp(values).sum(-1)
    assert np.abs(adapted(planes, toml + '"softmax"')(colours()) - softmax).max() < 1


def test_sizes(tmp_path: Path) -> None:
    """The network asks for one size alone, so another would be an error."""
    text = "g (float[1, 3, 32, 64] x) => (float[1, 3, 32, 64] y) { y = Identity(x) }"
    path = network(tmp_path / "fixed.onnx", text)
    for toml in ("size = [64, 32]", "short_side = 32\nmultiple = 32", "multiple = 32"):
        image = np.asarray(cv2.resize(colours(), (60, 36)), np.uint8)
        found = adapted(path, toml)(image)
        assert found.shape == (36, 60)
        assert np.abs(found.astype(int) - image[..., 2])[4:-4, 4:-4].max() < 12
    with pytest.raises(EngineError, match="the network failed"):
        adapted(path, "")(image)


def test_layout(tmp_path: Path) -> None:
    text = "g (float[1, H, W, 3] x) => (float[1, H, W, 3] y) { y = Identity(x) }"
    found = adapted(network(tmp_path / "last.onnx", text), 'layout = "NHWC"\nchannel = 1')
    assert (found(colours()) == colours()[..., 1]).all()


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """Its alpha is `step` times the number of frames so far, by a state of open shape."""
    text = """g (float[1, 3, H, W] x, float[1, C, h, w] before, float[1] step)
        => (float[1, 3, H, W] unused, float[1, 1, H, W] alpha, float[1, 1, h, w] after) {
        unused = Identity(x)
        channel = ReduceMean <keepdims = 1> (x, axis)
        none = Sub(channel, channel)
        after = Add(before, step)
        alpha = Add(none, after)
    }"""
    return network(tmp_path / "counter.onnx", text, axis=1)


COUNTER = 'input = "x"\noutput = "alpha"\nstates = [["before", "after"]]\nextra = {step = 0.2}'


def test_states_and_extra_inputs(counter: Path) -> None:
    def means(of: External, times: int) -> list[float]:
        return [float(of(colours()).mean()) for _ in range(times)]

    kept = adapted(counter, COUNTER, temporal=True)
    assert means(kept, 3) == [51, 102, 153]
    kept.reset()
    assert means(kept, 1) == [51]
    assert means(adapted(counter, COUNTER), 3) == [51] * 3, "each picture is its first"
    numbered = COUNTER.replace('"x"', "0").replace('"alpha"', "1").replace("0.2", "[0.4]")
    assert means(adapted(counter, numbered), 1) == [102]
    ratio = COUNTER.replace("0.2", "{long_side = 8}")
    assert means(adapted(counter, ratio), 1) == [51], "8 of 40"
    assert means(adapted(counter, COUNTER.replace("0.2", "{long_side = 80}")), 1) == [255]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (('"x"', '"y"'), "has no input 'y'; it has x, before, step"),
        (('"alpha"', "3"), "has no output 3; it has unused, alpha, after"),
        (("after", "later"), "has no output 'later'"),
        (("{step = 0.2}", "{}"), "nothing for the input step"),
        (("{step = 0.2}", "{step = 1, more = 2}"), "has no input 'more'"),
    ],
)
def test_ports_that_are_not_there(counter: Path, change: tuple[str, str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        adapted(counter, COUNTER.replace(*change))


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("size = [1", "cannot be read"),
        ("sise = [1, 2]", "unknown key 'sise'; expected some of: input, layout"),
        ('layout = "CHW"', "layout is 'CHW'; expected NCHW or NHWC"),
        ("range = [1, 1]", "two different numbers"),
        ("std = [1, 0, 1]", "three numbers, none of them 0"),
        ("mean = [0, nan, 0]", "three numbers"),
        ("size = [0, 9]", "width, height"),
        ("multiple = 0", "a number from 1"),
        ("short_side = true", "a number of pixels"),
        ('states = [["a"]]', "by name"),
        ("extra = {a = {short_side = 1}}", "long_side = N"),
        ("input = -1", "a name or a number from 0"),
    ],
)
def test_mistakes_in_the_toml(tmp_path: Path, toml: str, words: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        read_adapter(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_every_key_has_a_form_and_the_peers_are_read() -> None:
    assert list(FORMS) == list(Adapter.__dataclass_fields__)
    sizes = {
        path.name.partition(".")[0]: list(read_adapter(path).size) for path in PEERS.glob("*.toml")
    }
    assert sizes == {
        "mediapipe": [256, 256],
        "mediapipe-landscape": [256, 144],
        "modnet": [],
        "rvm": [],
    }


def test_no_valid_alpha(tmp_path: Path, planes: Path) -> None:
    text = "g (float[1, 3, H, W] x) => (float[1, 3, H, W] y) { d = Sub(x, x) y = Div(d, d) }"
    with pytest.raises(EngineError, match="no valid alpha"):
        adapted(network(tmp_path / "nan.onnx", text), "")(colours())
    with pytest.raises(EngineError, match="no channel 3"):
        adapted(planes, "channel = 3")(colours())


def test_which_way_a_file_is_opened(planes: Path, tmp_path: Path) -> None:
    assert isinstance(open_network("live", None, engine="auto", device="cpu"), Segmenter)
    with pytest.raises(ModelError, match=r"not written by 'livecut export'.*--adapter"):
        open_network(str(planes), None, engine="auto", device="cpu")
    planes.with_suffix(".adapter.toml").touch()
    assert isinstance(open_network(str(planes), None, engine="auto", device="cpu"), External)
    with pytest.raises(ConfigError, match="livecut's own"):
        open_network(str(planes), None, engine="torch", device="cpu")
    other = tmp_path / "other.toml"
    other.touch()
    with pytest.raises(ModelError, match="no model file"):
        open_network("none.onnx", other, engine="auto", device="cpu")
    with pytest.raises(ConfigError, match=r"give --adapter FILE.toml"):
        open_network("none.tflite", None, engine="auto", device="cpu")


def test_tflite_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tflite"
    path.write_bytes(b"no network")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(EngineError, match="pip install ai-edge-litert"):
        adapted(path, "")
    monkeypatch.undo()
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(ModelError, match="cannot be loaded by LiteRT"):
        adapted(path, "")


def test_eval_of_it(planes: Path, tmp_path: Path) -> None:
    folders = [tmp_path / part for part in ("images", "masks")]
    for folder, picture in zip(folders, (colours(), colours()[..., 2]), strict=True):
        folder.mkdir()
        cv2.imwrite(str(folder / "a.png"), picture)
    adapter = tmp_path / "mine.toml"
    adapter.touch()
    given = ("eval", "--images", folders[0], "--masks", folders[1], "--model", planes)
    assert_one_clear_line(run(*given), "not written by 'livecut export'", "--adapter")
    done = run(*given, "--adapter", adapter, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall"]["mad"] == 0
