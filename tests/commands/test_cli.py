"""The commands as a person runs them: output, messages, exit status."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import livecut
from livecut.frame import Output, as_image
from tests import zygote
from tests.waiting import wait_until


def command(*arguments: str | Path) -> list[str]:
    return [
        sys.executable,
        "-c",
        "from livecut.commands.main import main; main()",
        *map(str, arguments),
    ]


def run(
    *arguments: str | Path, stdin: bytes = b"", **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run livecut as a person would, without a display."""
    clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    clean["PYTHONPATH"] = str(Path(livecut.__file__).parents[1])
    # A window's library looks for its screen when it is loaded, before the fork.
    if sys.platform == "linux" and not env.keys() & {"PYTHONPATH", "DISPLAY"}:
        words = [*map(str, arguments)]
        return zygote.run(words, stdin=stdin, timeout=120, env=clean | env)
    return subprocess.run(
        command(*arguments), input=stdin, capture_output=True, timeout=120, env=clean | env
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[bytes], *words: str) -> None:
    text = done.stderr.decode()
    errors = [line for line in text.splitlines() if "error:" in line]
    assert done.returncode not in (0, None)
    assert len(errors) == 1, text
    assert "Traceback" not in text
    for word in words:
        assert word in errors[0]


def frames_in(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    with av.open(str(path)) as container:
        return [
            np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in container.decode(video=0)
        ]


def test_demo_to_a_video(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    done = run("run", "demo", "-b", "#00b140", "-o", out, "--max-frames", "10")
    assert done.returncode == 0, done.stderr
    frames = frames_in(out)
    assert len(frames) == 10
    assert frames[0].shape == (360, 640, 3)
    # A corner with the wall behind is green now, the face in the middle is not.
    assert np.abs(frames[5][20:40, 560:600].mean((0, 1)) - (0x40, 0xB1, 0)).max() < 12
    face = frames[5][120:180, 280:360].mean((0, 1))
    assert face[2] > face[1] > 60
    text = done.stderr.decode()
    for word in (
        "source: demo",
        " on the CPU, 1 thread",
        "10 frames",
        "network",
        "composite",
        "p99",
    ):
        assert word in text


def test_y4m_out_and_in(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    made = run("run", "demo", "-o", "-", "--max-frames", "5")
    assert made.stdout.startswith(b"YUV4MPEG2 W640 H360 F30:1")
    done = run("run", "-", "-b", "white", "-o", out, stdin=made.stdout)
    assert done.returncode == 0, done.stderr
    assert len(frames_in(out)) == 5


def test_reader_of_the_pipe_goes_away() -> None:
    process = subprocess.Popen(
        command("run", "demo", "-o", "-"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout
        process.stdout.read(1000)
        process.stdout.close()
        assert process.stderr
        text = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert text.count("error:") == 1
    assert "Traceback" not in text
    assert "Exception" not in text


def test_ctrl_c_leaves_a_playable_file(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    clip = tmp_path / "long.mp4"
    picture = np.zeros((180, 320, 3), np.uint8)
    with livecut.open_sink(str(clip), size=(320, 180), fps=30) as sink:
        for i in range(1500):
            sink.write(Output(picture, None, i, 0.0))
    noise = tmp_path / "noise.png"  # whose first frame is too large for the writer's buffer
    cv2.imwrite(str(noise), np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8))
    process = subprocess.Popen(command("run", clip, "-b", noise, "-o", out), stderr=subprocess.PIPE)
    part = tmp_path / "out.mp4.part"

    def writes() -> bool:
        assert process.poll() is None
        return part.exists() and part.stat().st_size >= 20_000

    wait_until(writes, timeout=120, every=0.05)
    process.send_signal(signal.SIGINT)
    with process:
        assert process.stderr
        text = process.stderr.read().decode()
        assert process.wait(30) == 130
    assert "Traceback" not in text
    assert "frames" in text
    assert 0 < len(frames_in(out)) < 1500
    assert not part.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nosuch.mp4", "-o", "null"], ["nosuch.mp4"]),
        (["run", "77", "-o", "null"], ["camera 77"]),
        (["run", "demo", "-o", "null", "-b", "nosuch"], ["unknown background 'nosuch'"]),
        (["run", "demo", "-o", "null", "-b", "blur:7"], ["0.0 to 1.0"]),
        (["run", "demo", "-o", "null", "--model", "nosuch"], ["unknown model 'nosuch'", "live"]),
        (["run", "demo", "-o", "null", "--size", "big"], ["'big' is no size", "1280x720"]),
        (["run", "demo", "-o", "null", "--engine", "tpu"], ["unknown engine 'tpu'"]),
        (["run", "demo", "-o", "null", "--device", "tpu"], ["unknown device 'tpu'"]),
        (["run", "demo", "-o", "null", "--in-flight", "9"], ["--in-flight", "0<=x<=3"]),
        (["run", "demo", "-o", "nosuch/out.mp4"], ["no folder nosuch"]),
        (["run", "demo", "-o", "out.xyz"], ["out.xyz"]),
        (["run", "77", "-o", "out.xyz"], ["unknown output 'out.xyz'"]),  # before the camera opens
        (["run", "77", "-b", "nosuch"], ["unknown background 'nosuch'"]),
        (["run", "77", "-b", "transparent", "-o", "a.mp4"], ["cannot hold transparency"]),
        (["run", "--source", "77", "--source", "78", "-o", "{n}.xyz"], ["unknown output '1.xyz'"]),
        (["run", "demo"], ["no display", "-o"]),
        (["run", "demo", "-b", "transparent", "-o", "out.mp4"], [".webm"]),
        (["run", "demo", "--colour", "red"], ["--colour"]),
        (["run", "--source", "demo", "--source", "no.mp4"], ["source 1 (demo): no display"]),
        (
            ["run", "--source", "demo", "--source", "no.mp4", "-o", "{n}.mp4"],
            ["source 2 (no.mp4): there is no file"],
        ),
        (
            ["run", "--source", "demo", "--source", "demo", "-o", "a.mp4"],
            ["2 sources, but 1 output"],
        ),
        (["run", "demo", "--config", "nosuch.toml"], ["nosuch.toml"]),
        (["image", "nosuch.png", "-o", "out.png"], ["nosuch.png"]),
        (["train", "--data", "nosuch"], ["0 training"]),
        (["export", "nosuch.pt", "-o", "a.onnx"], ["nosuch.pt"]),
        (["dance"], ["dance"]),
    ],
    ids=lambda v: " ".join(v)[:40],
)
def test_mistakes(
    arguments: list[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_clear_line(run(*arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_text_on_standard_input() -> None:
    assert_one_clear_line(run("run", "-", "-o", "null", stdin=b"hello\n" * 100), "YUV4MPEG2")


def test_named_gpu_is_had_or_an_error() -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    assert_one_clear_line(run("run", "demo", "-o", "null", "--device", "cuda"), "device cuda")


def test_config_file_and_command_line(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'background = "#ff0000"\nmax-frames = 3\nsize = "320x180"\noutput = ["null"]\n'
    )
    out = tmp_path / "out.mp4"
    done = run("run", "demo", "--config", config, "-o", out, "--max-frames", "2")
    assert done.returncode == 0, done.stderr
    frames = frames_in(out)
    assert len(frames) == 2, "the command line wins"
    assert frames[0].shape == (180, 320, 3)
    corner = frames[1][10:20, 280:300].mean((0, 1))
    assert corner[2] > 200
    assert corner[1] < 60
    config.write_text("backgruond = 'blur'\n")
    assert_one_clear_line(
        run("run", "demo", "--config", config), "unknown key 'backgruond'", "background"
    )
    config.write_text("not toml at all")
    assert_one_clear_line(run("run", "demo", "--config", config), "cannot be read")
    config.write_text("max-frames = 'many'\n")
    assert_one_clear_line(run("run", "demo", "--config", config), "many")


def test_help_names_everything() -> None:
    text = run("run", "--help").stdout.decode()
    for word in (
        "--background",
        "--output",
        "--size",
        "--fps",
        "--fourcc",
        "--mirror",
        "--model",
        "--device",
        "--engine",
        "--in-flight",
        "--max-frames",
        "--config",
        "transparent",
        "raw",
    ):
        assert word in text


def test_livecut_alone_prints_its_help() -> None:
    done = subprocess.run([sys.executable, "-m", "livecut"], capture_output=True, text=True)
    assert done.returncode == 2, "as click has it"
    assert done.stderr.startswith("Usage: livecut [OPTIONS] COMMAND")
    assert "error" not in done.stderr
    lines = [line.strip() for line in done.stderr.splitlines()]
    for name in ("bench", "doctor", "eval", "export", "image", "run", "train"):
        assert any(line.startswith(f"{name} ") for line in lines), name


def on_a_terminal(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and all that a command writes where standard error is a terminal."""
    import pty  # absent from Windows

    parent, child = pty.openpty()
    with subprocess.Popen(
        command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=child,
        env=os.environ | {"TERM": "vt100"},
    ) as process:
        os.close(child)
        text = b""
        with contextlib.suppress(OSError):  # Linux's end of file on a terminal
            while chunk := os.read(parent, 65536):
                text += chunk
        os.close(parent)
        return process.wait(60), text.decode()


BAR = "━"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_bar_is_drawn_on_a_terminal_alone_and_not_in_quiet() -> None:
    some = ("run", "demo", "-o", "null", "-b", "raw", "--max-frames", "2")
    status, text = on_a_terminal(*some)
    assert status == 0
    assert BAR in text
    assert "frames" in text
    assert BAR not in run(*some).stderr.decode()
    status, text = on_a_terminal(*some, "-q")
    assert (status, text) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_an_error_leaves_no_bar_above_it(tmp_path: Path) -> None:
    """The bar is wiped: after it comes the control sequence that clears a line."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    status, text = on_a_terminal("run", "demo", "-o", "null", "--model", broken)
    assert status == 1
    before, _, error = text.rpartition("livecut: error: ")
    assert "broken.onnx" in error
    assert "\x1b[2K" in before.rpartition(BAR)[2]


def test_a_library_that_cannot_be_imported_is_one_line_from_every_command(tmp_path: Path) -> None:
    """Each fails before it looks at what it was given."""
    (tmp_path / "cv2.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file')"
    )
    (tmp_path / "psutil.py").write_text("raise ModuleNotFoundError('none', name='psutil')")
    broken = str(tmp_path) + os.pathsep + str(Path(livecut.__file__).parents[1])
    for arguments in (
        ["run", "demo", "-o", "null"],
        ["image", "a.png", "-o", "b.png"],
        ["eval", "--images", "a", "--masks", "b"],
    ):
        done = run(*arguments, PYTHONPATH=broken)
        assert_one_clear_line(done, "OpenCV", "libGL.so.1", "apt install libxcb1 libgl1")
    done = run("bench", "--quick", PYTHONPATH=broken)
    assert_one_clear_line(done, "psutil is not installed", "pip install 'livecut[bench]'")


def test_the_option_that_was_out_is_named(tmp_path: Path) -> None:
    done = run("train", "--data", tmp_path, "--out", tmp_path)
    assert_one_clear_line(done, "--out", "--output")
    config = tmp_path / "c.toml"
    config.write_text('out = "runs/x"\n')
    done = run("train", "--data", tmp_path, "--config", config)
    assert_one_clear_line(done, "unknown key 'out'; did you mean 'output'")


def test_import_is_light() -> None:
    heavy = ("torch", "onnxruntime", "cv2", "av", "numba", "numpy", "rich")
    code = f"import sys, livecut.commands.main; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = (
        "import sys; from livecut import Pipeline; "
        "Pipeline('demo', device='cpu', max_frames=1).run(); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    assert (
        run("run", "demo", "-b", "raw", "-o", path / "a.png", "--max-frames", "1").returncode == 0
    )
    return path


def test_image_makes_every_kind(tmp_path: Path) -> None:
    folder = portrait(tmp_path)
    cv2.imwrite(str(folder / "b.jpg"), np.full((333, 501, 3), 90, np.uint8))
    results = {}
    for kind in ("--alpha", "--mask", "--cutout", "-bgreen"):
        out = tmp_path / kind.strip("-")
        done = run("image", folder, "-o", out, kind)
        assert done.returncode == 0, done.stderr
        assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png"]
        assert as_image(cv2.imread(str(out / "b.png"))).shape[:2] == (333, 501)
        results[kind] = as_image(cv2.imread(str(out / "a.png"), cv2.IMREAD_UNCHANGED))
    assert results["--alpha"].shape == (360, 640)
    assert set(np.unique(results["--mask"])) == {0, 255}
    assert (results["--mask"] == np.where(results["--alpha"] >= 127.5, 255, 0)).all()
    rgba = results["--cutout"]
    assert (rgba[..., 3] <= results["--alpha"]).all(), "less where the room's colour shows"
    assert (rgba[..., 3] == 255)[results["--alpha"] == 255].all()
    assert not rgba[rgba[..., 3] == 0].any(), "nothing of the room under alpha 0"


def test_image_goes_on_after_a_bad_file(tmp_path: Path) -> None:
    folder = portrait(tmp_path)
    (folder / "bad.png").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    done = run("image", folder, "-o", tmp_path / "out")
    assert done.returncode == 1
    text = done.stderr.decode()
    assert text.count("error:") == 2
    assert "bad.png" in text
    assert "text.jpg" in text
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]


def test_image_refuses_before_it_begins(tmp_path: Path) -> None:
    folder = portrait(tmp_path)
    (folder / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    one = folder / "a.png"
    mistakes: list[tuple[list[str | Path], str]] = [
        ([folder, "-o", tmp_path / "out.png"], "one file"),
        ([folder, "-o", tmp_path / "out"], "several inputs"),
        ([one, "-o", tmp_path / "none" / "out.png"], "no folder"),
        ([one, "-o", tmp_path / "out.txt"], "cannot write"),
        ([one, "--cutout", "-o", tmp_path / "out.jpg"], "transparency"),
        ([one, "-b", "nosuch", "-o", tmp_path / "out.png"], "unknown background"),
    ]
    for arguments, word in mistakes:
        assert_one_clear_line(run("image", *arguments), word)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]
