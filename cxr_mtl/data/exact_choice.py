"""Which groups, in the order drawn, sum to one number in every class: exactly, at bounded memory.

Groups of equal sizes are of one kind, and what a rest can sum to depends only on how many it has of
each kind. So it is a bounded knapsack over kinds, of which even large archives have few.
"""

from dataclasses import dataclass

import numpy as np

from cxr_mtl.base.errors import InputError

# All sums are weighed while the table of those that may be reached is no larger than this squared:
# one bit each and as many for carrying, 64 MiB, of which four exist at a time.
WEIGHED = 16_000

Pair = tuple[int, int]


def exact_choice(sizes: np.ndarray, per_class: int) -> np.ndarray | None:
    """Choose groups that sum to `per_class` in every class, the earliest first.

    A group is passed over only where it does not fit or, with it, no later groups complete the sum:
    the draw is that of taking what fits, but for the few groups that would lead nowhere.

    Args:
        sizes: studies of each group and class, [groups, 1 or 2 classes], in the order drawn.

    Returns:
        bool [groups], or None: no choice sums to it.

    Raises:
        InputError: more choices than can be weighed would have to be.
    """
    groups = _Groups.of(sizes, per_class)
    chosen = np.zeros(len(sizes), dtype=bool)
    left, start = _target(sizes, per_class), 0
    while any(left):
        taken, lefts = groups.that_fit(left, start)
        keep = len(taken) if not any(lefts[-1]) else _completable(groups, taken, lefts, start)
        if keep is None:
            return None
        chosen[taken[:keep]] = True
        left = lefts[keep]
        if keep < len(taken):
            start = taken[keep] + 1
            groups.pass_over(left, start)
    return chosen


def largest_sum_below(sizes: np.ndarray, per_class: int) -> int:
    """The largest number below `per_class` that some groups sum to in every class; 0 is none."""
    sums = _Groups.of(sizes, per_class).sums(_target(sizes, per_class), 0)
    return max(n for n in range(per_class) if _target(sizes, n) in sums)


def _target(sizes: np.ndarray, per_class: int) -> Pair:
    return (per_class if sizes.shape[1] == 2 else 0, per_class)


def _completable(groups: "_Groups", taken: list[int], lefts: list[Pair], start: int) -> int | None:
    """How many of `taken` can be kept at most, so that later groups complete the sum.

    `lefts` is what is left before each and after all. Few are given back at first, for then little
    is left and its sums are quickly told; who can keep n can keep fewer, so halving finds the rest.
    """

    def completes(kept: int) -> bool:
        after = taken[kept - 1] + 1 if kept else start
        return lefts[kept] in groups.sums(lefts[kept], after, until_full=True)

    too_many, back = len(taken), 1
    while not completes(keep := max(too_many - back, 0)):
        if keep == 0:
            return None
        too_many, back = keep, 2 * back
    while too_many - keep > 1:
        middle = (keep + too_many) // 2
        if completes(middle):
            keep = middle
        else:
            too_many = middle
    return keep


@dataclass(frozen=True)
class _Sums:
    """A set of pairs (a, b), each the bit a * width + b."""

    bits: bytes
    width: int

    def __contains__(self, pair: Pair) -> bool:
        bit = pair[0] * self.width + pair[1]
        return bool(self.bits[bit >> 3] >> (bit & 7) & 1)


@dataclass(frozen=True)
class _Groups:
    """Groups in the order drawn: their sizes, the kind of each, and which kinds are of use yet."""

    per_class: int
    sizes: np.ndarray
    kinds: np.ndarray
    kind: np.ndarray
    usable: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray, per_class: int) -> "_Groups":
        pairs = np.pad(sizes, ((0, 0), (2 - sizes.shape[1], 0)))
        kinds, kind = np.unique(pairs, axis=0, return_inverse=True)
        return cls(per_class, pairs, kinds, kind, kinds.any(axis=1))

    def that_fit(self, left: Pair, start: int) -> tuple[list[int], list[Pair]]:
        """Take from `start` on what fits; which were taken, and what is left before and after."""
        fits = self.usable[self.kind[start:]] & (self.sizes[start:] <= left).all(axis=1)
        may = start + np.flatnonzero(fits)
        taken, lefts = [], [left]
        for i, (a, b) in zip(may.tolist(), self.sizes[may].tolist(), strict=True):
            if a <= lefts[-1][0] and b <= lefts[-1][1]:
                taken.append(i)
                lefts.append((lefts[-1][0] - a, lefts[-1][1] - b))
        return taken, lefts

    def pass_over(self, left: Pair, start: int) -> None:
        """Use no more the kinds of which not one leaves what the groups from `start` can sum to.

        What no completion uses now, none does later: it would complete the sum with what is taken
        in between.
        """
        sums = self.sums(left, start)
        for i in np.flatnonzero(self._fit(left)).tolist():
            a, b = self.kinds[i].tolist()
            self.usable[i] = (left[0] - a, left[1] - b) in sums

    def sums(self, most: Pair, start: int, until_full: bool = False) -> _Sums:
        """What groups from `start` on can sum to, up to `most`; `until_full`: enough to tell that.

        A kind is added 1, 2, 4, … times over, a shift of all bits each; a width of twice the room
        keeps b from carrying.
        """
        times = np.bincount(self.kind[start:], minlength=len(self.kinds)) * self._fit(most)
        width = 16 * (most[1] // 8 + 1)
        if until_full and (times @ self.kinds < most).any():
            return _Sums(bytes((most[0] + 1) * width // 8), width)
        if (most[0] + 1) * (most[1] + 1) > (WEIGHED + 1) ** 2:
            raise InputError(
                f"whether {self.per_class} test studies per class can be drawn without parting "
                "what stays together takes too much memory to find out: set test_per_class to "
                f"{WEIGHED} or less"
            )
        row = ((1 << (most[1] + 1)) - 1).to_bytes(width // 8, "little")
        grid = int.from_bytes(row * (most[0] + 1), "little")
        full = most[0] * width + most[1]
        reached = 1
        for (a, b), some in zip(self.kinds.tolist(), times.tolist(), strict=True):
            if until_full and reached >> full:
                break
            rest = min([some, *(m // size for m, size in zip(most, (a, b), strict=True) if size)])
            step = 1
            while rest:
                step = min(step, rest)
                reached |= reached << step * (a * width + b) & grid
                rest -= step
                step *= 2
        return _Sums(reached.to_bytes((most[0] + 1) * width // 8, "little"), width)

    def _fit(self, left: Pair) -> np.ndarray:
        return self.usable & (self.kinds <= left).all(axis=1)
