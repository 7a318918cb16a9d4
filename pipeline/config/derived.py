"""[product] base: what a product takes over from another one, and what it may ask of it.

A product with a base says its own labels, features, model, training, gate and lists; everything up to profiles and
vocabularies is the base's. Its features are computed from what the base sums, so the base must sum it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.product import Config
from pipeline.errors import ConfigError

TAKEN = ("sources", "datasets", "clean", "sessions", "profiles", "vocabularies")
"""Tables that are the base's alone."""
TAKEN_OF_PRODUCT = ("warehouse", "day_zone", "first_day")


def with_base(tables: Mapping[str, Any], base: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The tables of a product with those that its base says (vocabularies have their settings there).

    Raises ConfigError naming every one that is said here again.
    """
    product, said = dict(tables["product"]), base["product"]
    again = [f"$.{name}" for name in (*TAKEN, "simulate") if name in tables]
    again += [f"$.product.{name}" for name in TAKEN_OF_PRODUCT if name in product]
    if again:
        lines = "\n".join(f"  {place}: the base says that; leave it out, or change it there" for place in again)
        raise ConfigError(f"{origin} has {len(again)} fault(s):\n{lines}")
    own = {name: said[name] for name in TAKEN_OF_PRODUCT if name in said}
    taken = {name: base[name] for name in TAKEN if name in base and name != "vocabularies"}
    return {**tables, **taken, "product": {**product, **own}}


def refuse_what_the_base_lacks(config: Config, base: Config, origin: str) -> None:
    """Raise ConfigError with every feature that the base makes no sum or vocabulary for."""
    faults = list(_faults(config, base))
    if faults:
        told = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(
            f"{origin} has {len(faults)} fault(s):\n{told}\n"
            f"Add such a feature to [features] of {base.product.name!r} and build its days again, or leave it out here"
        )


def _faults(config: Config, base: Config) -> Iterator[str]:
    from pipeline.features import vocabulary_names
    from pipeline.steps.measures import features_of, needs_of

    for entity in ("user", "item"):
        there = {need for feature in features_of(base, entity).values() for need in needs_of(feature)}
        for name, feature in features_of(config, entity).items():
            for need in needs_of(feature):
                if need not in there:
                    yield f"$.features.{entity}.{name}: needs {need}, which base {base.product.name!r} does not sum"
    for name in vocabulary_names(config):
        if name not in vocabulary_names(base):
            yield f"$.features: need vocabulary {name!r}, which base {base.product.name!r} does not number"
