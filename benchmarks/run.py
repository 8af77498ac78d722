"""Every figure that the speed claims rest on, in one table and one JSON: `make bench`.

Takes a few minutes on two cores; the GPU part is one line where there is none. What another process does meanwhile
falls on all arms of a part alike, but a machine that is busy is not concluded from: exit code 3.
"""
from __future__ import annotations

import sys
from pathlib import Path

import augmentation
import gpu
import precision
import trainer
import waits
from machine import Measure, conclude, parser

PARTS: dict[str, Measure] = {"trainer": trainer.measure, "augmentation": augmentation.measure,
                             "precision": precision.measure, "waits": waits.measure, "gpu": gpu.measure}


def main() -> int:
    words = parser(__doc__)
    words.set_defaults(json=Path("bench.json"))
    words.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="which of them (all)")
    given = words.parse_args()
    return conclude({name: measure for name, measure in PARTS.items() if name in given.parts}, given)


if __name__ == "__main__":
    sys.exit(main())
