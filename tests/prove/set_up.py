"""A copy of the tree in an empty folder: no Java, a set-up that is killed, two at once, one with nothing to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 900


def copy_tree(target: Path) -> None:
    """The files that git would commit, as a clone has them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def make(tree: Path, *arguments: str, **settings: str) -> tuple[int, float]:
    """Run make in the tree and print what it says; (exit code, seconds)."""
    print(f"\n$ make {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    code = subprocess.run(
        ["make", *arguments], cwd=tree, env=os.environ | settings, stdin=subprocess.DEVNULL
    ).returncode
    seconds = time.monotonic() - start
    print(f"exit code {code}, {seconds:.1f} s", flush=True)
    return code, seconds


def without_java(tree: Path, folder: Path) -> None:
    """A PATH with everything but Java and apt-get; nothing is installed, the command to type is printed."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if program.name not in ("java", "apt-get") and not link.is_symlink():
                link.symlink_to(program)
    code, _ = make(tree, "setup", PATH=str(folder), JAVA_HOME="", JAVA_FOLDERS="")
    assert code != 0
    assert not (tree / ".venv").exists()


def kill_in_the_middle(tree: Path) -> None:
    """kill -9 of the whole set-up while pip is unpacking."""
    print("\n$ make setup, and kill -9 while pip installs", flush=True)
    process = subprocess.Popen(["make", "setup"], cwd=tree, stdin=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + DEADLINE_S
    while not list(tree.glob(".venv/lib/python*/site-packages/numpy")):
        assert process.poll() is None, "the set-up ended before it was killed"
        assert time.monotonic() < deadline, "pip never came to NumPy"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    print("killed; .venv holds:", *sorted(path.name for path in (tree / ".venv").iterdir()), flush=True)
    assert not (tree / ".venv" / "made-from").exists()


def two_at_once(tree: Path) -> None:
    """Both end well, and the one that came second did not install."""
    print("\n$ make setup & make setup", flush=True)
    both = [subprocess.Popen(["make", "setup"], cwd=tree, stdin=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(DEADLINE_S) for process in both] == [0, 0]


def main() -> None:
    """Every step asserts what it shows."""
    with tempfile.TemporaryDirectory(prefix="set-up-") as folder:
        tree = Path(folder) / "a clone"
        copy_tree(tree)
        assert make(tree)[0] == 0
        assert make(tree, "day")[0] == 2
        without_java(tree, Path(folder) / "programs")
        kill_in_the_middle(tree)
        two_at_once(tree)
        code, seconds = make(tree, "setup")
        assert code == 0
        assert seconds < 5
        python = tree / ".venv" / "bin" / "python"
        command = (
            "import jobs, pipeline, pyspark, tsengine, onnxruntime; print('imported from elsewhere:', jobs.__file__)"
        )
        subprocess.run([python, "-c", command], cwd=folder, check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)


if __name__ == "__main__":
    main()
