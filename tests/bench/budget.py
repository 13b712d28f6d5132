"""The error budget on simulated deployments whose true error is known.

    python -m tests.bench.budget [--deployments 1000] [--seed 2026]

Prints one JSON object: by kind of error and over all, how many deployments were certified and in how many the promise
(at most 5 % wrong, with an assurance of 95 %) was broken, beside three ways to set a line that promise nothing; and
what a test every night does to an audit whose true rate is just above the budget.
"""

from __future__ import annotations

import argparse
import json
import time

from services.review import bounds
from tests.review.deployments import BUDGET, nightly, simulate


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    began = time.process_time()
    tally = simulate(options.deployments, options.seed)
    report = {
        "verdicts_needed_by_wrong_ones": {
            wrong: bounds.required(wrong, BUDGET.max_wrong_rate, BUDGET.risk()) for wrong in range(4)
        },
        "simulation": tally,
        "broken_share": tally["all"]["broken"] / options.deployments,
        "certified_by_luck_with_a_test_each_night": {
            looks: nightly(4000, nights=60, looks=looks, seed=options.seed) for looks in (1, 60)
        },
        "cpu_seconds": round(time.process_time() - began, 1),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
