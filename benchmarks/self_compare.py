"""How often a build fails against itself: reruns, other threads, other inputs.

Records int8 builds of four networks over parts of their inputs, each part on one and on two
threads and once more, and diagnoses runs of a build with another run of the same build as
its baseline. Every result but ``pass`` and "needs more frames" is a false alarm; prints
their share with its exact interval.

    EXRAY_TEST_DATA=... python benchmarks/self_compare.py [--comparisons 200] [--networks kws,v1]
"""

import argparse
import itertools
import random
import tempfile
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

from diagnosis_networks import NETWORKS, Diagnoser, Network, data_folder, record

from exray.diagnosis.statistics import clopper_pearson

FRAMES = 20
PARTS = 2
"""Inputs of a run, and how many parts of a network's inputs are recorded."""

KINDS = ("rerun", "threads", "inputs")


def main() -> None:
    """Record, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--networks", default=",".join(n.name for n in NETWORKS))
    options = parser.parse_args()
    data, wanted = data_folder(), options.networks.split(",")
    networks = [network for network in NETWORKS if network.name in wanted]
    with tempfile.TemporaryDirectory() as folder:
        results: Counter[tuple[str, str]] = Counter()
        diagnoser = Diagnoser()
        for network in networks:
            # In a process of its own: after playing with several threads, queries in the same
            # process were seen to wait for ever.
            recording = get_context("spawn").Process(
                target=record_all, args=(network, data, Path(folder))
            )
            recording.start()
            recording.join()
            share = options.comparisons // len(networks)
            for kind, edge, baseline in pairs(share):
                lake = Path(folder, "lakes", network.name)
                diagnosis = diagnoser.diagnose(lake, edge, baseline)
                entry = diagnosis.entry
                is_short = entry is not None and entry.frames_missing > 0
                status = "too few frames" if is_short else diagnosis.status
                results[kind, status] += 1
                if status in ("fail", "unexplained"):
                    told = [cause.what for cause in diagnosis.failing] or [entry and entry.what]
                    print(
                        f"  {network.name} {edge} after {baseline}: {status}: {told[0]}", flush=True
                    )
            print(f"{network.name}: {share} comparisons", flush=True)
        report(results)


def record_all(network: Network, data: Path, folder: Path) -> None:
    """Record every part on one and two threads, twice, and the reference over all."""
    whole = slice(0, FRAMES * PARTS)
    record(network, data, folder, whole, "reference", role="reference")
    for part, threads, turn in itertools.product(range(PARTS), (1, 2), range(2)):
        chosen = slice(part * FRAMES, (part + 1) * FRAMES)
        record(network, data, folder, chosen, f"p{part}-t{threads}-{turn}", threads=threads)


def pairs(count: int) -> list[tuple[str, str, str]]:
    """Return comparisons: kind, edge, baseline; each kind as often."""
    rng = random.Random(20260201)
    builds = list(itertools.product(range(PARTS), (1, 2), range(2)))
    by_kind: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in KINDS}
    for (p, t, n), (q, s, m) in itertools.permutations(builds, 2):
        kind = "inputs" if p != q else "threads" if t != s else "rerun"
        by_kind[kind].append((kind, f"p{p}-t{t}-{n}", f"p{q}-t{s}-{m}"))
    return [rng.choice(by_kind[KINDS[i % len(KINDS)]]) for i in range(count)]


def report(results: "Counter[tuple[str, str]]") -> None:
    """Print how each kind came out, and the share of false alarms."""
    print(f"{'':10}{'pass':>8}{'fail':>8}{'unexplained':>14}{'too few frames':>17}")
    for kind in KINDS:
        counts = [results[kind, s] for s in ("pass", "fail", "unexplained", "too few frames")]
        print(f"{kind:10}{counts[0]:8}{counts[1]:8}{counts[2]:14}{counts[3]:17}")
    total = sum(results.values())
    alarms = sum(n for (_, status), n in results.items() if status in ("fail", "unexplained"))
    low, high = clopper_pearson(alarms, total)
    print(f"false alarms: {alarms} of {total}, 95 % interval {low:.2%} to {high:.2%}")


if __name__ == "__main__":
    main()
