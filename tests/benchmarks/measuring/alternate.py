"""Processes that are compared, run in turns, so that a busy hour falls on all of them alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def alternate(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, list[dict[str, Any]]]:
    """The answers of each command. Every second round goes backwards: who comes first has no advantage."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for turn in range(repeats):
        for name in list(commands)[:: -1 if turn % 2 else 1]:
            answers[name].append(answer_of(commands[name]))
    return answers


def answer_of(command: Sequence[str]) -> dict[str, Any]:
    """The last line that a command prints, which is JSON. Its complaints are shown when it fails."""
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, stdin=subprocess.DEVNULL)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
