"""The attributes a model knows: `group=value` names in logit order, grouped, with suggestions.

Not the values of any image; those are arrays indexed by the positions given here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from finetag_model.errors import DataError, UsageError
from finetag_model.nearest import nearest


@dataclass(frozen=True)
class Vocabulary:
    """Attribute names `group=value`, in the order of a network's N logits."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        malformed = [name for name in self.names if not re.fullmatch(r"[^=\s]+=[^=\s]+", name)]
        if malformed:
            raise DataError(f"attribute {malformed[0]!r} is not of the form group=value")
        if len(set(map(fold, self.names))) != len(self.names):
            raise DataError("two attributes of the vocabulary have the same name")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_cub_names(cls, names: Iterable[str]) -> Vocabulary:
        """Make `has_size::medium_(9_-_16_in)` into `size=medium`, and so on for each name."""
        return cls(tuple(_from_cub(name) for name in names))

    @cached_property
    def groups(self) -> Mapping[str, tuple[int, ...]]:
        """The positions of each group's values, groups in order of first appearance."""
        groups: dict[str, list[int]] = {}
        for position, name in enumerate(self.names):
            groups.setdefault(name.partition("=")[0], []).append(position)
        return {group: tuple(positions) for group, positions in groups.items()}

    def value(self, position: int) -> str:
        """Return the value part of the name at a position: `grey` of `wing_color=grey`."""
        return self._values[position]

    @cached_property
    def _values(self) -> tuple[str, ...]:
        return tuple(name.partition("=")[2] for name in self.names)

    def position(self, name: str) -> int:
        """Return the logit position of `group=value`.

        Case, and the choice between blank, hyphen and underscore, do not matter.

        Raises:
            UsageError: there is no such attribute; the message names the nearest ones.
        """
        found = self._positions.get(fold(name))
        if found is not None:
            return found
        group, equals, value = name.partition("=")
        if not equals or not group.strip() or not value.strip():
            raise UsageError(f"{name!r} is not of the form group=value, as in {self.names[0]!r}")
        positions = self.group(group)
        values = [self.value(position) for position in positions]
        near = _nearest(fold(value), {fold(known): known for known in values})
        known_group = self.groups_by_key[fold(group)]
        raise UsageError(f"{known_group} has no value {value.strip()!r}; nearest: {near}")

    def group(self, name: str) -> tuple[int, ...]:
        """Return the positions of a group's values; its name may be written as in `position`.

        Raises:
            UsageError: there is no such group; the message names the nearest ones.
        """
        known = self.groups_by_key.get(fold(name))
        if known is None:
            near = _nearest(fold(name), self.groups_by_key)
            raise UsageError(f"unknown attribute {name.strip()!r}; nearest: {near}")
        return self.groups[known]

    @cached_property
    def groups_by_key(self) -> Mapping[str, str]:
        """The names of the groups, by what `fold` makes of them."""
        return {fold(group): group for group in self.groups}

    @cached_property
    def _positions(self) -> Mapping[str, int]:
        return {fold(name): position for position, name in enumerate(self.names)}


def _from_cub(name: str) -> str:
    group, separator, value = name.partition("::")
    if not separator:
        raise DataError(f"{name!r} is not a CUB attribute name such as 'has_wing_color::blue'")
    without_remark = re.sub(r"_\(.*\)$", "", value)
    return f"{group.removeprefix('has_')}={without_remark}"


def fold(name: str) -> str:
    """Return the same for what a user may write differently: case, outer blanks, ` `, `-`, `_`."""
    return re.sub(r"[\s_-]+", "_", re.sub(r"\s*=\s*", "=", name.strip()).lower())


def _nearest(key: str, known: Mapping[str, str]) -> str:
    return ", ".join(known[match] for match in nearest(key, known))
