"""What goods cost: first in, first out, from every move of an item in order.

What a form posts to the asset account and what the goods are worth differ: a sale posts
nothing there, though goods leave. `Valuation.extra` says by how much the asset account must be
moved for each row, cost of goods sold taking the other side; the service adds that itself.

Sold below nothing, goods are costed like the last ones that moved, and the difference is made
up by the purchase that fills the gap. Goods taken back come at the cost they last left at.
Source: Intuit help, "What is FIFO and how is it used for inventory cost accounting?".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlsync.simulators.quickbooks.posting.entries import Move, share


@dataclass(slots=True)
class Valuation:
    """One item's stock over time. Quantities in millionths, values in cents."""

    units: int = 0
    value: int = 0
    extra: dict[tuple[int, int], int] = field(default_factory=dict)  # (id, line) -> asset cents
    extra_total: int = 0
    dates: list[str] = field(default_factory=list)
    history: list[tuple[int, int]] = field(default_factory=list)  # units, value after each date

    def at(self, date: str) -> tuple[int, int]:
        """Units and value at the end of a day."""
        position = bisect_right(self.dates, date)
        return self.history[position - 1] if position else (0, 0)


def evaluate(moves: list[Move], unit_cost: tuple[int, int]) -> Valuation:
    """moves: in order. unit_cost: (cents, units) of goods whose cost no move says."""
    layers: deque[list[int]] = deque()  # units, cents
    gaps: deque[list[int]] = deque()  # sold before they came: units, assumed cents
    found = Valuation()
    last = unit_cost
    units = value = 0
    for move in moves:
        before = value
        left = move.units
        if left > 0:
            cost = move.cents if move.is_priced else share(last[0], left, last[1])
            last = (cost, left)
            while gaps and left:
                gap = gaps[0]
                part = min(gap[0], left)
                assumed = share(gap[1], part, gap[0])
                cost -= share(cost, part, left)
                left -= part
                value += assumed
                gap[0] -= part
                gap[1] -= assumed
                if not gap[0]:
                    gaps.popleft()
            if left:
                layers.append([left, cost])
                value += cost
        elif left < 0:
            wanted, taken = -left, 0
            while layers and wanted:
                layer = layers[0]
                part = min(layer[0], wanted)
                cost = share(layer[1], part, layer[0])
                taken += cost
                wanted -= part
                layer[0] -= part
                layer[1] -= cost
                if not layer[0]:
                    layers.popleft()
            if wanted:
                assumed = share(last[0], wanted, last[1])
                gaps.append([wanted, assumed])
                taken += assumed
            value -= taken
            last = (taken, -left)
        units += move.units
        extra = value - before - move.cents
        if extra:
            found.extra[move.id, move.line] = extra
            found.extra_total += extra
        if found.dates and found.dates[-1] == move.date:
            found.history[-1] = (units, value)
        else:
            found.dates.append(move.date)
            found.history.append((units, value))
    found.units, found.value = units, value
    return found


class Stock:
    """The moves of every item of one company; values are worked out when asked for."""

    def __init__(self, unit_cost: Callable[[int], tuple[int, int]]) -> None:
        self._unit_cost = unit_cost
        self._moves: dict[int, list[Move]] = {}
        self._sorted: set[int] = set()
        self._known: dict[int, Valuation] = {}

    def items(self) -> list[int]:
        return sorted(self._moves)

    def collect(self, item: int, move: Move) -> None:
        """Adds a move while the books are read for the first time, in any order."""
        self._moves.setdefault(item, []).append(move)
        self._sorted.discard(item)

    def add(self, item: int, move: Move) -> None:
        insort(self._in_order(item), move)
        self._known.pop(item, None)

    def remove(self, item: int, move: Move) -> None:
        moves = self._in_order(item)
        position = bisect_left(moves, move)
        if position < len(moves) and moves[position] == move:
            del moves[position]
        self._known.pop(item, None)

    def of(self, item: int) -> Valuation:
        found = self._known.get(item)
        if found is None:
            found = evaluate(self._in_order(item), self._unit_cost(item))
            self._known[item] = found
        return found

    def _in_order(self, item: int) -> list[Move]:
        moves = self._moves.setdefault(item, [])
        if item not in self._sorted:
            moves.sort()
            self._sorted.add(item)
        return moves
