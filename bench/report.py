#!/usr/bin/env python3
"""Writes what was measured into docs/benchmarks.md, between its markers, and the pictures into docs/img/.

Usage: bench/report.py RESULTS_FOLDER CRITERION_FOLDER
The first holds side_by_side.json, growth.json, replicas.md, ledger.md and changes.md; of what is missing nothing is written.
"""
import glob, json, os, re, statistics, sys

import lab, svg
from cases import CASES
from proxies import BASE
from side_by_side import table_rows

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs")
HEAD = """| case | proxy | CPU µs per request | ratio to HAProxy | requests/s | p50 ms | p99 ms | refused % | failures |
|---|---|---|---|---|---|---|---|---|"""


def ratios(results):
    for name, rounds in results.items():
        all_of = sorted(r["cpu_us"] / b["cpu_us"] for r, b in zip(rounds, results[BASE]))
        yield name, (statistics.median(all_of), all_of[0], all_of[-1])


def side_by_side(run):
    m = run["machine"]
    said = (
        f"Measured on {m['date']}: {m['cpus']} virtual CPUs ({m['cpu']}), load average {m['load_average']:.1f} before and "
        f"{m['load_average_after']:.1f} after; nginx {m['nginx']}, HAProxy {m['haproxy']}; {m['rounds']} rounds of {m['secs']:g} s. Medians; in "
        "brackets the smallest and the largest ratio of a round."
    )
    rows = [row for name, results in run["cases"].items() for row in table_rows(CASES[name].title, results)]
    return "\n".join([said, "", HEAD, *rows])


def loads(run):
    names = list(next(iter(run["loads"].values())))
    rows = [f"| requests/s | {' | '.join(f'{name}: p50, p99 ms' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for rate, results in run["loads"].items():
        middle = lambda name, key: statistics.median(r[key] for r in results[name])
        rows.append(f"| {int(rate):,} | " + " | ".join(f"{middle(name, 'p50_ms'):.2f}, {middle(name, 'p99_ms'):.2f}" for name in names) + " |")
    return "\n".join(rows)


def growth(results):
    rows = ["| connections | KiB each | on the two threads |", "|---|---|---|"]
    rows += [f"| {r['connections']:,} | {max(0, r['kib_each']):.1f} | {', '.join(map(str, r['threads']))} |" for r in results["connections"]]
    rows += ["", "| limits | ready after | data plane | control plane |", "|---|---|---|---|"]
    for r in results["limits"]:
        rows.append(f"| {r['limits']:,} | {r['ready_secs']:.2f} s | {r['data_plane_kib'] / 1024:.0f} MiB | {r['control_plane_kib'] / 1024:.0f} MiB |")
    return "\n".join(rows)


def criterion(folder):
    """Nanoseconds of every benchmark, medians."""
    times = {}
    for path in glob.glob(f"{folder}/**/new/benchmark.json", recursive=True):
        estimates = json.load(open(os.path.join(os.path.dirname(path), "estimates.json")))
        times[json.load(open(path))["full_id"]] = estimates["median"]["point_estimate"]
    return times


def time(ns):
    unit, scale = next((unit, scale) for unit, scale in (("s", 1e9), ("ms", 1e6), ("µs", 1e3), ("ns", 1)) if ns >= scale or scale == 1)
    return f"{ns / scale:.3g} {unit}"


# what -> (benchmark, shape)
CLIENTS = {
    "a decision, any client next": ("take/{} clients", "flat while the table fits the caches, then a cache miss or two"),
    "find a client's limit": ("limits/get among {}", "logarithmic (base 16), and cache misses"),
    "change one limit": ("limits/change one among {}", "logarithmic, and cache misses"),
    "make all limits from nothing": ("limits/make all {} from nothing", "linear"),
}
BACKENDS = {
    "round_robin": "flat",
    "least_connections": "linear while all are busy; ends at the first idle one",
    "p2c": "flat",
    "random": "flat",
    "consistent_hash": "logarithmic",
}


def clients(times):
    sizes = [1_000, 100_000, 1_000_000]
    rows = [f"| | {' | '.join(f'{size:,} clients' for size in sizes)} | shape |", "|---" * (len(sizes) + 2) + "|"]
    for what, (name, shape) in CLIENTS.items():
        if name.format(sizes[0]) not in times:
            continue
        rows.append(f"| {what} | " + " | ".join(time(times[name.format(size)]) for size in sizes) + f" | {shape} |")
    return "\n".join(rows)


def backends(times):
    sizes = [3, 100, 1000]
    rows = [f"| strategy | {' | '.join(f'{size:,} backends' for size in sizes)} | shape |", "|---" * (len(sizes) + 2) + "|"]
    for name, shape in BACKENDS.items():
        rows.append(f"| {name} | " + " | ".join(time(times[f"pick/{name}/{size}"]) for size in sizes) + f" | {shape} |")
    return "\n".join(rows)


def tables(text):
    """What a benchmark printed, without what others printed around it."""
    return "\n".join(line for line in text.splitlines() if line.startswith("|"))


def put(name, text):
    path = os.path.join(DOCS, "benchmarks.md")
    page = open(path).read()
    marked = re.compile(rf"(<!-- {name}: bench/report.py writes this -->\n).*?(<!-- /{name} -->)", re.S)
    if not marked.search(page):
        sys.exit(f"{path} has no place for {name}")
    lab.write(DOCS, "benchmarks.md", marked.sub(lambda m: m.group(1) + text + "\n" + m.group(2), page))


def pictures(run):
    os.makedirs(os.path.join(DOCS, "img"), exist_ok=True)
    groups = {CASES[name].title: dict(ratios(results)) for name, results in run["cases"].items()}
    if groups:
        lab.write(DOCS, "img/ratios.svg", svg.bars("CPU time per request, HAProxy = 1 (less is better)", groups))
    if run["loads"]:
        p99 = lambda rounds: statistics.median(r["p99_ms"] for r in rounds)
        names = list(next(iter(run["loads"].values())))
        series = {name: [(int(rate), p99(results[name])) for rate, results in run["loads"].items()] for name in names}
        lab.write(DOCS, "img/latency.svg", svg.curves("p99 of a small GET, from the moment it was due", "requests per second", series))


def main():
    results, times = sys.argv[1], criterion(sys.argv[2])
    there = lambda name: os.path.exists(f"{results}/{name}")
    if there("side_by_side.json"):
        run = json.load(open(f"{results}/side_by_side.json"))
        put("side-by-side", side_by_side(run))
        if run["loads"]:
            put("loads", loads(run))
        pictures(run)
    if there("growth.json"):
        put("growth", growth(json.load(open(f"{results}/growth.json"))))
    for name in ("replicas", "ledger", "changes"):
        if there(f"{name}.md"):
            put(name, tables(open(f"{results}/{name}.md").read()))
    if times:
        put("clients", clients(times))
        put("backends", backends(times))


if __name__ == "__main__":
    main()
