"""Owns the changes between two traces: in total, by size, by line, by stack, by thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from snugmalloc.trace.origins import function_of, whole_stack
from snugmalloc.trace.snapshot import Part
from snugmalloc.trace.summary import Group, Summary
from snugmalloc.trace.tables import Tables

Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)


class Figures(NamedTuple):
    """The figures of a group of blocks in one trace."""

    blocks: float = 0
    bytes: float = 0
    peak_bytes: float = 0
    end_bytes: float = 0
    held_bytes: float = 0
    """Held back at the end."""


class Change(NamedTuple):
    """A group of blocks in two traces."""

    before: Figures
    after: Figures

    @property
    def step(self) -> Figures:
        """The difference of each figure."""
        return Figures(*(after - before for before, after in zip(self.before, self.after, strict=True)))

    @property
    def weight(self) -> tuple[float, float, float]:
        """The weight for sorting: first by memory in use, then by bytes allocated."""
        blocks, size, *in_use = map(abs, self.step)
        return max(in_use), size, blocks


class Side(NamedTuple):
    """One of the two traces. The lines of its summary are named by `function_of`."""

    summary: Summary
    tables: Tables


@dataclass
class Difference:
    """What changed. The lists have only changed groups, largest changes first, sizes in order."""

    total: Change
    by_size: list[tuple[int | None, Change]]
    by_origin: list[tuple[str, Change]]
    by_stack: list[tuple[tuple[str, ...], Change]]
    """By the frames, the innermost first."""
    by_thread: list[tuple[str, Change]]
    have_stacks: bool
    """Both have. Where none has, `by_origin` is by the exact size; where one has, it is empty."""
    knows_held: bool
    """Both traces tell what is held back; else that is 0 everywhere."""


def difference_of(before: Side, after: Side) -> Difference:
    """The changes from one trace to the other.

    Lines are matched by function and file name; threads by name, or, if they have none, by their number in the
    trace.
    """
    knows_held = bool(before.summary.snapshot.ledger and after.summary.snapshot.ledger)
    if not knows_held:
        before, after = _without_pins(before), _without_pins(after)
    one, other = before.summary, after.summary
    have_stacks = one.has_stacks and other.has_stacks
    are_alike = one.has_stacks is other.has_stacks
    sizes = _changes(_by_size(one), _by_size(other))
    in_order = sorted(sizes, key=lambda entry: (entry[0] is None, entry[0] or 0))
    return Difference(
        total=Change(_figures(one.total, _pinned(one)), _figures(other.total, _pinned(other))),
        by_size=[entry for entry in in_order if any(entry[1].step)],
        by_origin=_heaviest(_changes(_by_origin(one), _by_origin(other))) if are_alike else [],
        by_stack=_heaviest(_changes(_by_stack(before), _by_stack(after))) if have_stacks else [],
        by_thread=_heaviest(_changes(_by_thread(one), _by_thread(other))),
        have_stacks=have_stacks,
        knows_held=knows_held,
    )


def _without_pins(side: Side) -> Side:
    snapshot = replace(side.summary.snapshot, ledger=None, pinning=None)
    return side._replace(summary=replace(side.summary, snapshot=snapshot))


def _figures(group: Group, part: Part) -> Figures:
    return Figures(group.blocks, group.bytes, group.peak_bytes, group.end_bytes, part.held)


def _pinned(summary: Summary) -> Part:
    pinning = summary.snapshot.pinning
    return pinning.total if pinning else Part()


def _by_size(summary: Summary) -> dict[int | None, Figures]:
    pinning = summary.snapshot.pinning
    return _named(summary.by_size, pinning.by_size if pinning else {}, lambda bound: bound)


def _by_origin(summary: Summary) -> dict[str, Figures]:
    pinning = summary.snapshot.pinning
    return _named(summary.by_origin, pinning.by_origin if pinning else {}, lambda origin: origin)


def _by_stack(side: Side) -> dict[tuple[str, ...], Figures]:
    pinning = side.summary.snapshot.pinning
    return _named(
        side.summary.by_stack,
        pinning.by_stack if pinning else {},
        lambda stack: whole_stack(side.tables, stack, function_of),
    )


def _by_thread(summary: Summary) -> dict[str, Figures]:
    pinning, names = summary.snapshot.pinning, summary.history.names
    return _named(
        summary.by_thread,
        pinning.by_thread if pinning else {},
        lambda thread: names.get(thread) or f"thread {thread}",
    )


def _named(
    groups: dict[Key, Group], pinning: dict[Key, Part], name: Callable[[Key], Name]
) -> dict[Name, Figures]:
    """The figures of the groups by name, those of the same name added up."""
    found: defaultdict[Name, Figures] = defaultdict(Figures)
    for key, group in groups.items():
        figures = _figures(group, pinning.get(key, Part()))
        found[name(key)] = Figures(*map(sum, zip(found[name(key)], figures, strict=True)))
    return dict(found)


def _changes(before: dict[Name, Figures], after: dict[Name, Figures]) -> list[tuple[Name, Change]]:
    return [
        (name, Change(before.get(name, Figures()), after.get(name, Figures()))) for name in {**before, **after}
    ]


def _heaviest(changes: Iterable[tuple[Name, Change]]) -> list[tuple[Name, Change]]:
    changed = [entry for entry in changes if any(entry[1].step)]
    return sorted(changed, key=lambda entry: entry[1].weight, reverse=True)
