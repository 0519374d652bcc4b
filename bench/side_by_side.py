#!/usr/bin/env python3
"""Balancer beside nginx and HAProxy on one machine: CPU time per request, as a ratio within one run.

One proxy at a time runs on CPU 0 (with two threads: on 0 and 1); the load and the backend (an nginx that answers from
memory) run on CPU 1. The proxies take turns, A B C then C B A, and each figure is the median over all rounds. Wall-clock
figures of a small shared machine mean little; CPU time of the proxy's processes divided by the requests they answered is
steadier, and its ratio to a peer measured a moment earlier is steadier still. The load is a fixed number of requests per
second, less than any of the proxies can take, unless the case says otherwise.

Usage: bench/side_by_side.py BALANCER BALANCERCTL LOAD --out RESULTS.json [--rounds N] [--secs S] [--case NAME ...]
Needs nginx, haproxy, wrk, openssl and taskset on the PATH. Loopback only.
"""
import argparse, contextlib, dataclasses, datetime, json, os, re, shutil, statistics, subprocess

import lab
from cases import CASES, LOADS, Case
from proxies import BASE, PROXIES, backend


class Tools:
    """Programs, a certificate, and databases with limits in them, made once."""

    def __init__(self, folder, args):
        self.folder, self.balancer, self.balancerctl, self.load = folder, args.balancer, args.balancerctl, args.load
        self.certificate, self.key = f"{folder}/certificate.pem", f"{folder}/key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
            + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
            + ["-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        os.chmod(self.key, 0o644)

    def database_with_keys(self, path, keys, rate):
        kept = f"{self.folder}/{keys}.db"
        if not os.path.exists(kept):
            rows = "".join(f"client-{key},{rate},{rate}\n" for key in range(keys))
            self._import(kept, lab.write(self.folder, "limits.csv", "client_id,capacity,rate_per_sec\n" + rows))
        shutil.copy(kept, path)

    def _import(self, database, limits):
        admin = lab.free_port()
        config = lab.write(self.folder, "import.yaml", f"""server: {{ host: 127.0.0.1, port: {lab.free_port()} }}
backend_list: []
admin: {{ host: 127.0.0.1, port: {admin} }}
database: {{ url: "sqlite://{database}" }}
""")
        command = [self.balancerctl, "--endpoint", f"http://127.0.0.1:{admin}", "limits", "import", limits]
        with lab.running([self.balancer, "--config", config], self.folder, stop_signal=15, log="import") as process:
            lab.wait_for(lambda: not subprocess.run(command, capture_output=True).returncode, process, "limits are imported")


def fixed(tools, case, port, secs):
    """What the load generator says of requests at the case's rate."""
    command = ["taskset", "-c", "1", tools.load, "--port", str(port), "--secs", str(secs), "--warmup", "0"]
    command += case.load_arguments() + (["--tls", tools.certificate] if case.tls else [])
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def closed(case, port, secs):
    """What wrk says when each connection asks again at once."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{case.connections}", f"-d{secs}s", "--latency", f"http://127.0.0.1:{port}{case.path}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    quantile = lambda name: ms(*re.search(name + r"%\s+([\d.]+)(us|ms|s)", text).groups())
    return {
        "requests": int(re.search(r"(\d+) requests in", text).group(1)),
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "p50_ms": quantile("50"), "p99_ms": quantile("99"),
        "failures": sum(map(int, errors.groups())) if errors else 0,
    }


def ms(number, unit):
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(tools, name, case, backend_port, secs):
    with lab.folder() as folder:
        port = lab.free_port()
        command = PROXIES[name](folder, port, backend_port, case, tools)
        with lab.running(command, folder, cpus="0" if case.threads == 1 else "0,1") as process:
            probe = dataclasses.replace(case, requests_per_sec=100, connections=1)
            lab.wait_for(lambda: fixed(tools, probe, port, 0.2)["requests"], process, "it answers")
            load = (lambda secs: fixed(tools, case, port, secs)) if case.requests_per_sec else (lambda secs: closed(case, port, max(1, round(secs))))
            load(case.warm_up_secs)
            before = lab.cpu_seconds(process)
            result = load(secs)
            return {**result, "cpu_us": (lab.cpu_seconds(process) - before) / max(1, result["requests"]) * 1e6}


def rounds_of(tools, case, backend_port, rounds, secs):
    results = {name: [] for name in PROXIES}
    for number in range(rounds):
        for name in list(PROXIES) if number % 2 == 0 else list(reversed(PROXIES)):
            results[name].append(measure(tools, name, case, backend_port, secs))
    return results


def table_rows(title, results):
    for name, rounds in results.items():
        middle = lambda key: statistics.median(r[key] for r in rounds)
        ratios = [r["cpu_us"] / b["cpu_us"] for r, b in zip(rounds, results[BASE])]
        spread = "1.00" if name == BASE else f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        failures = sum(r["failures"] for r in rounds)
        refused = 100 * sum(r.get("refused", 0) for r in rounds) / max(1, sum(r["requests"] for r in rounds))
        yield f"| {title} | {name} | {middle('cpu_us'):.1f} | {spread} | {middle('rps'):.0f} | {middle('p50_ms'):.2f} | {middle('p99_ms'):.2f} | {refused:.0f} | {failures} |"
        title = ""


def machine(args):
    said = lambda command, pattern: re.search(pattern, "".join(subprocess.run(command, capture_output=True, text=True).__dict__[k] for k in ("stdout", "stderr"))).group(1)
    return {
        "nginx": said(["nginx", "-v"], r"nginx/([0-9.]+)"),
        "haproxy": said(["haproxy", "-v"], r"version ([0-9.]+)"),
        "cpu": re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read()).group(1),
        "cpus": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "load_average": os.getloadavg()[0],
        "rounds": args.rounds,
        "secs": args.secs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("balancer", "balancerctl", "load"):
        parser.add_argument(name)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=3)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--loads", action=argparse.BooleanOptionalAction, default=True, help="latency over load")
    args = parser.parse_args()
    run = {"machine": machine(args), "cases": {}, "loads": {}}
    with contextlib.ExitStack() as stack:
        at, tools = stack.enter_context(lab.folder()), Tools(stack.enter_context(lab.folder()), args)
        port = lab.free_port()
        server = stack.enter_context(lab.running(backend(at, port), at, cpus="1"))
        lab.wait_for(lambda: fixed(tools, Case("", 100, connections=1), port, 0.2)["requests"], server, "the backend answers")
        for name in args.case or CASES:
            run["cases"][name] = rounds_of(tools, CASES[name], port, args.rounds, args.secs)
            print("\n".join(table_rows(CASES[name].title, run["cases"][name])), flush=True)
        for rate in LOADS if args.loads else []:
            run["loads"][rate] = rounds_of(tools, Case("", rate), port, min(args.rounds, 3), min(args.secs, 2))
            print("\n".join(table_rows(f"{rate}/s", run["loads"][rate])), flush=True)
    run["machine"]["load_average_after"] = os.getloadavg()[0]
    with open(args.out, "w") as out:
        json.dump(run, out, indent=1)


if __name__ == "__main__":
    main()
