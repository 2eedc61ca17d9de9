"""Figures of the broker beside those of a baseline, round by round."""

from collections.abc import Sequence
from statistics import median

from attrs import frozen

HEADER = ("figure", "broker", "baseline", "ratio", "spread", "aim")


@frozen
class Sides:
    """What was measured in turn: one figure of each side in every round."""

    broker: Sequence[float]
    baseline: Sequence[float]

    @property
    def ratio(self) -> float:
        """The broker's median in units of the baseline's."""
        return median(self.broker) / median(self.baseline)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio of a round."""
        ratios = [ours / theirs for ours, theirs in zip(self.broker, self.baseline, strict=True)]
        return min(ratios), max(ratios)

    def row(self, figure: str, aim: str = "", *, digits: int = 3) -> tuple[str, ...]:
        """Return the line of the table; figures are rounded to so many digits."""
        broker, baseline = (f"{median(side):.{digits}f}" for side in (self.broker, self.baseline))
        low, high = self.spread
        return (figure, broker, baseline, f"{self.ratio:.2f}", f"{low:.2f} to {high:.2f}", aim)
