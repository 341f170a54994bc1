"""How well recorded screens of Claude Code are read: right, wrong and unknown per release.

    python -m benchmarks.accuracy [-v]      -v names every case that is not right

Exits 1 when a screen is read wrongly.
"""

import sys
from collections.abc import Sequence

from tests.screen_accuracy import Score, corpus, said, score


def main(arguments: Sequence[str]) -> int:
    scores = [(case, score(case)) for case in corpus()]
    print(f"{'release':<10} {'right':>6} {'wrong':>6} {'unknown':>8} {'right %':>8}")
    for version in sorted({case.version for case, _ in scores}):
        counts = [sum(1 for case, got in scores if case.version == version and got is one) for one in Score]
        print(f"{version:<10} {counts[0]:>6} {counts[1]:>6} {counts[2]:>8} {100 * counts[0] / sum(counts):>8.1f}")
    if "-v" in arguments:
        for case, got in scores:
            if got is not Score.RIGHT:
                print(f"{got}: {case.name}: expected {case.expected}, read {said(case.screen)}")
    return 1 if any(got is Score.WRONG for _, got in scores) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
