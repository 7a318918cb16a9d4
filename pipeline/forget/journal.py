"""What a forgetting must still do: a file beside the datasets, from before the first change until after the last one.

It says which steps were up to date before, so that they are afterwards, and does not say who is forgotten: a salted
scrypt hash tells only whether the same command is typed again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, field

from pipeline.errors import Refused
from pipeline.storage import Warehouse, files_at

JOURNAL = "_FORGETTING.json"
N, R, P = 2**14, 8, 1
"""How costly a guess is: scrypt's parameters as RFC 7914 recommends them for a person who waits."""


@dataclass(frozen=True)
class Journal:
    """What was so before the first change.

    current  (step, day) of every step that would have been skipped
    pages    days whose page names him or shows what is changed
    found    what was found: (what, where, rows), without any id
    """

    salt: str
    who: str
    current: list[list[str]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    found: list[list[str]] = field(default_factory=list)

    def is_of(self, user: str) -> bool:
        """Whether it was begun for this user."""
        return secrets.compare_digest(self.who, _hash(user, self.salt))


def begin(
    warehouse: Warehouse, user: str, current: list[list[str]], pages: list[str], found: list[list[str]]
) -> Journal:
    """Write it down before the first change."""
    salt = secrets.token_hex(16)
    journal = Journal(salt, _hash(user, salt), current, pages, found)
    content = json.dumps(asdict(journal), indent=1) + "\n"
    files_at(warehouse.root).write_atomic(warehouse.path(JOURNAL), content.encode())
    return journal


def unfinished(warehouse: Warehouse) -> Journal | None:
    """The one that was interrupted; None where there is none."""
    path = warehouse.path(JOURNAL)
    storage = files_at(warehouse.root)
    return Journal(**json.loads(storage.read(path))) if storage.exists(path) else None


def finish(warehouse: Warehouse) -> None:
    """All is done."""
    files_at(warehouse.root).remove(warehouse.path(JOURNAL))


def refuse_unfinished(warehouse: Warehouse) -> None:
    """Raise Refused while a forgetting is unfinished: what is half forgotten must not be read or built again."""
    if files_at(warehouse.root).exists(path := warehouse.path(JOURNAL)):
        raise Refused(
            f"a user is being forgotten, or was when jobs.forget was interrupted ({path}); wait for it, or type the "
            "same command again"
        )


def _hash(user: str, salt: str) -> str:
    return hashlib.scrypt(user.encode(), salt=bytes.fromhex(salt), n=N, r=R, p=P).hex()
