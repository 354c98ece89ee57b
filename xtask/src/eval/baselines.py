"""What anybody could put on the sensor's rows instead of its score; threshold from the warm-up alone.

In: a CSV file of rows in time order and a job (JSON, see `main`). Out: for each detector and budget, when it
alarmed and about whom, as JSON on stdout.

Fit on rows before `learned`, threshold from rows between `learned` and `ready`, alarms from `ready` on:
- budget x calibration >= 5 alarms: the quantile of the highest scores of 10 s bins that has the budget above it;
- less: a generalised Pareto tail on the highest tenth of those bins, at least 8 (probability-weighted moments,
  Hosking and Wallis, Technometrics 29, 1987), because the calibration is too short to have seen such a quantile.
"""

import csv
import json
import math
import sys

import numpy as np
from river.anomaly import HalfSpaceTrees
from sklearn.ensemble import IsolationForest

BIN = 10.0
KEYS = {
    "window_start", "window_end", "src_ip", "src_port", "dst_ip", "dst_port", "proto", "kind", "score", "threshold",
    "state", "threat_type", "confidence", "alerted", "member",
}
# Alarms about one pair in one such time are one.
SAME = 10.0
# The same source is a new alarm after so much quiet, as for the sensor.
REFOLD = 600.0
# At most so many of one such time are said: a flood from made-up sources is one thing.
MOST_AT_ONCE = 200


def read(path):
    """Times, (source, destination, port, protocol), packets, features scaled to 0..1 or nearly."""
    with open(path, newline="") as file:
        lines = csv.reader(file)
        header = next(lines)
        rows = [line for line in lines if line]
    at = {name: place for place, name in enumerate(header)}
    times = np.array([float(row[at["window_end"]]) for row in rows])
    keys = [(row[at["src_ip"]], row[at["dst_ip"]], row[at["dst_port"]], row[at["proto"]]) for row in rows]

    def column(name):
        return np.array([float(row[at[name]] or 0.0) for row in rows])

    counts = ["packets_fwd", "packets_rev", "bytes_fwd", "bytes_rev"]
    packets = sum(column(name) for name in counts[:2]) if "packets_fwd" in at else np.ones(len(rows))
    own = [name for name in header if name not in KEYS and name not in counts]
    features = [column(name) for name in own] if own else plain(column, counts, keys)
    return times, keys, packets, np.column_stack(features + crowds(times, keys))


def plain(column, counts, keys):
    """Features of rows that bring none: counts on a log scale, mean sizes, port, protocol."""
    numbers = [column(name) for name in counts]
    logs = [np.log1p(number) / 16.0 for number in numbers]
    sizes = [numbers[2 + side] / np.maximum(numbers[side], 1.0) / 1514.0 for side in (0, 1)]
    port = np.array([math.log1p(float(key[2] or 0)) / 12.0 for key in keys])
    kinds = [np.array([float(key[3] == name) for key in keys]) for name in ("TCP", "UDP")]
    return logs + sizes + [port] + kinds


def crowds(times, keys):
    """What a row's hosts do in its window, for the rows are of flows: flows, peers and ports of the source; flows
    and sources of the destination."""
    groups = [{}, {}, {}, {}, {}]
    for time, (source, destination, port, _) in zip(times, keys):
        for group, name, member in zip(
            groups,
            (source, source, source, destination, destination),
            (None, destination, port, None, source),
        ):
            group.setdefault((time, name), [] if member is None else set())
            known = group[(time, name)]
            known.append(1) if member is None else known.add(member)
    sizes = np.empty((len(keys), 5))
    for row, (time, (source, destination, _, _)) in enumerate(zip(times, keys)):
        sizes[row] = [
            len(group[(time, name)])
            for group, name in zip(groups, (source, source, source, destination, destination))
        ]
    return list(np.log1p(sizes).T / 10.0)


def threshold(times, scores, learned, ready, budget):
    """The score above which a 10 s bin should lie `budget` times an hour; and how it was found."""
    inside = (times >= learned) & (times < ready)
    if not inside.any():
        return math.inf, "no rows to calibrate on"
    bins = {}
    for slot, score in zip((times[inside] // BIN).astype(np.int64), scores[inside]):
        bins[slot] = max(score, bins.get(slot, -math.inf))
    highest = np.sort(np.array(list(bins.values())))
    # Bins without a row cannot alarm: they count for the rate, not for the tail.
    hours = (ready - learned) / 3600.0
    wanted = budget * hours
    if wanted >= 5.0:
        return float(highest[max(0, len(highest) - 1 - int(wanted))]), "quantile"
    tail = min(max(8, len(highest) // 10), len(highest) - 1)
    if tail < 3:
        return float(highest[-1]), "highest"
    base = highest[-tail - 1]
    excess = highest[-tail:] - base
    mean = excess.mean()
    if mean <= 0.0:
        return float(highest[-1]), "highest"
    # Plotting positions as in the paper, (j - 0.35) / n, ascending.
    positions = (np.arange(1, tail + 1) - 0.35) / tail
    weighted = ((1.0 - positions) * excess).mean()
    shape = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else 0.5
    shape = float(np.clip(shape, -0.5, 0.5))
    scale = mean * (1.0 - shape)
    part = wanted / tail
    if part >= 1.0:
        return float(highest[max(0, len(highest) - 1 - int(wanted))]), "quantile"
    reach = -math.log(part) if abs(shape) < 1e-6 else (part**-shape - 1.0) / shape
    return float(base + scale * reach), "tail"


def alarms(times, keys, above, wildcard):
    """Distinct alarms: time, hosts, and whether the source had been quiet before."""
    found, said, at_once, last_of = [], set(), {}, {}
    for place in np.flatnonzero(above):
        time = float(times[place])
        source, destination = ("*", "*") if wildcard else keys[place][:2]
        slot = (int(time // SAME), source, destination)
        fresh = time - last_of.get(source, -math.inf) > REFOLD
        last_of[source] = time
        if slot in said and not fresh:
            continue
        said.add(slot)
        at_once[slot[0]] = at_once.get(slot[0], 0) + 1
        if at_once[slot[0]] <= MOST_AT_ONCE:
            found.append({"time": time, "hosts": sorted({source, destination}), "fresh": bool(fresh)})
    return found


def scores(job, times, keys, packets, features):
    """Name, scores of rows, rows' times, whether it names nobody."""
    fit = times < job["learned"]
    if not fit.any():
        return
    slots, place = np.unique(np.floor(times).astype(np.int64), return_inverse=True)
    sums = np.bincount(place, weights=packets)
    yield "packets per second", sums, slots.astype(float) + 1.0, True
    mean, spread = features[fit].mean(axis=0), features[fit].std(axis=0)
    yield "largest z", np.abs((features - mean) / np.maximum(spread, 1e-3)).max(axis=1), times, False
    forest = IsolationForest(n_estimators=100, random_state=job["seed"]).fit(features[fit])
    yield "isolation forest", -forest.score_samples(features), times, False
    trees = HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=job["seed"])
    clipped, found = np.clip(features, 0.0, 1.0), np.empty(len(times))
    names = list(range(features.shape[1]))
    for row in range(len(times)):
        values = dict(zip(names, clipped[row].tolist()))
        found[row] = trees.score_one(values)
        trees.learn_one(values)
    yield "half-space trees", found, times, False


def main():
    """The job: rows (path), learned, ready (seconds), budgets (alarms an hour), seed."""
    job = json.loads(sys.argv[1])
    times, keys, packets, features = read(job["rows"])
    out = []

    def say(name, budget, how, limit, found):
        found = [alarm for alarm in found if alarm["time"] >= job["ready"]]
        out.append({"detector": name, "budget": budget, "how": how, "threshold": limit, "alarms": found})

    for name, values, when, wildcard in scores(job, times, keys, packets, features):
        for budget in job["budgets"]:
            limit, how = threshold(when, values, job["learned"], job["ready"], budget)
            above = (values > limit) & (when >= job["ready"])
            say(name, budget, how, limit if math.isfinite(limit) else None, alarms(when, keys, above, wildcard))
    known, fresh = set(), np.zeros(len(times), dtype=bool)
    for row, key in enumerate(keys):
        fresh[row] = key not in known
        known.add(key)
    found = alarms(times, keys, fresh & (times >= job["ready"]), False)
    for budget in job["budgets"]:
        say("never-seen tuple", budget, "none", None, found)
    json.dump(out, sys.stdout)


main()
