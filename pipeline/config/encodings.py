"""Which encodings of text can be cut into lines at the byte \\n."""

from __future__ import annotations

import codecs

ASCII = "".join(map(chr, range(128)))
WHITE = b"\t\n\v\f\r "
"""Bytes that end a line or make it blank: no other character may hold one of them."""
OTHERS = "".join(chr(point) for point in range(128, 0x1_0000) if not 0xD800 <= point < 0xE000)


def encoding_fault(name: str) -> str | None:
    """Why lines cannot be read in this encoding; None where they can. (What Java lacks is found when Spark reads.)"""
    try:
        known = codecs.lookup(name)
        ascii_bytes, others = ASCII.encode(name), OTHERS.encode(name, "ignore")
    except (LookupError, UnicodeError):
        return "must be an encoding that Python and Java know, such as 'utf-8', 'windows-1252' or 'gb18030'"
    if ascii_bytes != ASCII.encode("ascii") or set(others) & set(WHITE):
        return (
            f"writes ASCII in other bytes, or others with them ({known.name}): a file is cut into lines at the byte "
            "\\n, so that must always and only be a new line. Convert the files to 'utf-8' first"
        )
    return None
