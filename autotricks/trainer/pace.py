"""Pace: how many images a second training takes."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pace:
    """Counts images and seconds by epochs; evaluation is not timed.

    The first epoch compiles, fills caches and tries kernels: it counts only as long as there is no second.
    """

    epochs: int = 0
    images: int = 0
    seconds: float = 0.0

    def add(self, images: int, seconds: float) -> None:
        """Take in an epoch."""
        self.epochs += 1
        if self.epochs == 2:
            self.images = 0
            self.seconds = 0.0
        self.images += images
        self.seconds += seconds

    @property
    def images_per_second(self) -> float:
        """Images a second; 0 before the first epoch is over."""
        return self.images / self.seconds if self.seconds else 0.0
