"""Chains of 50,000 and 100,000 ops: seconds to build, differentiate, compile, run and print, and bytes to hold them."""

from __future__ import annotations

from tests.tsengine.long_chains import chain


def main() -> None:
    """Twice the ops take twice the bytes; the seconds are printed, not judged."""
    for ops in (50_000, 100_000):
        print(f"{ops:,} ops: {chain(ops, count_bytes=False).seconds:.1f} s", flush=True)
    one, two = (chain(ops, count_bytes=True).bytes for ops in (50_000, 100_000))
    print(f"{one / 50_000:.0f} bytes an op and {two / 100_000:.0f} bytes an op, {two / one:.3f} times as many in all")
    assert 1.9 < two / one < 2.1


if __name__ == "__main__":
    main()
