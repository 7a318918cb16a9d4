"""`.ci/setup` on a machine that holds only what a test puts there; `make prove PART=set_up` runs the real thing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).parent.parent / ".ci" / "setup"
TOOLS = (
    "awk",
    "cat",
    "cksum",
    "cp",
    "dirname",
    "env",
    "flock",
    "id",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sh",
    "sleep",
    "sort",
)

# Stands for a Python that makes a .venv in which every pip call is written to pip.log.
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) echo {version}; exit {old} ;;
    *ensurepip*) exit {incomplete} ;;
    *realpath*) echo "$0" ;;
    "-m venv .venv") mkdir -p .venv/bin && cp "{folder}/inner-python" .venv/bin/python ;;
esac
"""
INNER_PYTHON = """#!/bin/sh
case "$*" in
    *purelib*) echo .venv ;;
    "-m pip install"*) echo "$*" >>pip.log; sleep "${PIP_SLEEPS:-0}"; exit "${PIP_EXITS:-0}" ;;
    --version) echo "Python 3.12.1" ;;
esac
"""
JAVA = """#!/bin/sh
printf '    java.home = %s\\n    java.specification.version = {version}\\n' "{home}" >&2
"""
BUILD_LOCK = "setuptools==84.2.1 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
LOCK = f"numpy==2.4.6 \\\n    --hash=sha256:aa\n{BUILD_LOCK}six==1.17.0\n"
INSTALL = "-m pip install --no-input --disable-pip-version-check --require-hashes --quiet"
NO_JAVA = """\
setup: Java 17 or newer is needed by Spark, and none was found (JAVA_HOME=/path/to/java names one). Type:
sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless
"""


class Machine:
    """A folder with the set-up script and a lock, and the few programs that exist there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "a tree"
        self.programs = folder / "programs"
        (self.tree / ".ci").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copy(SETUP, self.tree / ".ci" / "setup")
        (self.tree / "requirements.lock").write_text(LOCK)
        for tool in TOOLS:
            (self.programs / tool).symlink_to(shutil.which(tool) or tool)
        self.program("inner-python", INNER_PYTHON)

    def program(self, name: str, text: str) -> None:
        """Put a program on the machine; one of the real tools gives way to it."""
        path = self.programs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def python(self, version: str = "3.12", old: bool = False, incomplete: bool = False) -> None:
        """Put a python3 on the machine."""
        text = PYTHON.format(version=version, old=int(old), incomplete=int(incomplete), folder=self.programs)
        self.program("python3", text)

    def java(self, version: str = "17", home: str = "jdk") -> str:
        """Put a Java into a folder of its own, and return that folder, its home."""
        path = str(self.programs / home)
        self.program(f"{home}/bin/java", JAVA.format(version=version, home=path))
        return path

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        """Start the set-up; it sees the programs, the settings, and nothing else of the real machine."""
        environment = {"PATH": str(self.programs), "JAVA_FOLDERS": "", "PYTHON": "python3", **settings}
        command = ["sh", ".ci/setup", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.tree, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )

    def set_up(self, *arguments: str, **settings: str) -> tuple[int, str]:
        """Run the set-up; its exit code and all it said."""
        process = self.start(*arguments, **settings)
        out, err = process.communicate(timeout=60)
        return process.returncode, out + err

    def installs(self) -> list[str]:
        """The pip calls so far."""
        log = self.tree / "pip.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    result = Machine(tmp_path)
    result.python()
    return result


def test_it_installs_from_the_lock_once(machine: Machine) -> None:
    java = machine.java()
    code, said = machine.set_up(JAVA_HOME=java)
    assert code == 0
    assert machine.installs() == [
        f"{INSTALL} -r .venv/build-requirements",
        f"{INSTALL} --use-pep517 --no-build-isolation -r requirements.lock",
    ]
    assert "Python 3.12.1, Java at " + java in said
    assert (machine.tree / ".venv" / "build-requirements").read_text() == BUILD_LOCK
    assert (machine.tree / ".venv" / "tsrank.pth").read_text() == f"{machine.tree}\n"
    assert machine.set_up("--quiet") == (0, "")
    assert len(machine.installs()) == 2


def test_a_changed_lock_makes_it_anew_and_leaves_nothing_behind(machine: Machine) -> None:
    java = machine.java()
    machine.set_up(JAVA_HOME=java)
    (machine.tree / ".venv" / "left-over").touch()
    (machine.tree / "requirements.lock").write_text(LOCK + "tqdm==4.70.1\n")
    assert machine.set_up(JAVA_HOME=java)[0] == 0
    assert len(machine.installs()) == 4
    assert not (machine.tree / ".venv" / "left-over").exists()


def test_a_moved_tree_is_set_up_anew(machine: Machine) -> None:
    java = machine.java()
    machine.set_up(JAVA_HOME=java)
    machine.tree = machine.tree.rename(machine.folder / "elsewhere")
    assert machine.set_up(JAVA_HOME=java)[0] == 0
    assert len(machine.installs()) == 4
    assert (machine.tree / ".venv" / "tsrank.pth").read_text() == f"{machine.tree}\n"


def test_a_pip_that_failed_is_not_taken_for_done(machine: Machine) -> None:
    java = machine.java()
    assert machine.set_up(JAVA_HOME=java, PIP_EXITS="1")[0] == 1
    (machine.tree / ".venv" / "half-installed").touch()
    assert machine.set_up(JAVA_HOME=java)[0] == 0
    assert not (machine.tree / ".venv" / "half-installed").exists()


def test_two_at_once_install_once(machine: Machine) -> None:
    java = machine.java()
    both = [machine.start(JAVA_HOME=java, PIP_SLEEPS="0.3") for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(machine.installs()) == 2
    assert sum("waiting for it" in text for text in said) == 1


def test_java_is_found_by_java_home_then_path_then_the_usual_folders(machine: Machine) -> None:
    named, usual = machine.java(home="named"), machine.java("21", home="usual")
    kept = machine.tree / ".venv" / "java-home"
    assert machine.set_up(JAVA_FOLDERS=f"/nowhere {usual}")[0] == 0
    assert kept.read_text() == f"{usual}\n"
    assert machine.set_up(JAVA_HOME=named)[0] == 0
    assert kept.read_text() == f"{named}\n"
    shutil.rmtree(named)
    machine.program("java", JAVA.format(version="25", home="/on/the/path"))
    assert machine.set_up(JAVA_FOLDERS=usual)[0] == 0
    assert kept.read_text() == "/on/the/path\n"


@pytest.mark.parametrize("version", ["1.8", "11"])
def test_an_old_java_is_passed_over(machine: Machine, version: str) -> None:
    old = machine.java(version, home="old")
    code, said = machine.set_up(JAVA_HOME=old)
    assert code == 1
    assert f"JAVA_HOME={old} is no Java 17 or newer" in said


def test_without_java_it_says_what_to_type_and_stops(machine: Machine) -> None:
    machine.program("id", "#!/bin/sh\necho 1000\n")
    machine.program("apt-get", "#!/bin/sh\necho called >apt.log\n")
    assert machine.set_up() == (1, NO_JAVA)
    assert not (machine.tree / "apt.log").exists()
    assert machine.installs() == []


def test_as_root_on_debian_it_installs_the_oldest_java_that_will_do(machine: Machine) -> None:
    java = machine.java("21")
    machine.program("id", "#!/bin/sh\necho 0\n")
    offered = "\n".join(f"openjdk-{version}-jre-headless - a Java" for version in (25, 8, 21, 11))
    machine.program("apt-cache", f"#!/bin/sh\necho '{offered}'\n")
    machine.program(
        "apt-get",
        f'#!/bin/sh\necho "$*" >>apt.log\ncase "$1" in install) cp {java}/bin/java "{machine.programs}" ;; esac\n',
    )
    assert machine.set_up()[0] == 0
    wanted = ["update -qq", "install -y -qq --no-install-recommends openjdk-21-jre-headless"]
    assert (machine.tree / "apt.log").read_text().splitlines() == wanted


@pytest.mark.parametrize(
    ("old", "incomplete", "said"),
    [
        (True, False, "setup: Python 3.11 or newer is needed, and none was found"),
        (False, True, "setup: Python 3.12 is here, but without the module that makes a .venv. Type:\n"),
    ],
)
def test_without_a_fit_python_it_says_what_to_type(machine: Machine, old: bool, incomplete: bool, said: str) -> None:
    machine.python(old=old, incomplete=incomplete)
    machine.program("dnf", "#!/bin/sh\n")
    code, text = machine.set_up(JAVA_HOME=machine.java())
    assert code == 1
    assert text.startswith(said)
    assert text.splitlines()[-1].endswith("dnf install -y python3.12" if incomplete else "dnf install -y python3.11")
    assert not (machine.tree / ".venv").exists()
