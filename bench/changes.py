#!/usr/bin/env python3
"""What requests notice of a configuration that changes all the time: their latency while limits change, one revision each.

Three kinds of rounds take turns, 1 2 3 then 3 2 1: nothing changes; limits change at a control plane that the data plane does
not follow, which takes the same CPU time of the machine; limits change at its own. What the data plane itself costs its
requests is the third beside the second. The data plane runs on CPU 0, all else on CPU 1. The databases are in memory
(/dev/shm): a disk that makes each change safe allows fewer changes.

Usage: bench/changes.py DATAPLANE CONTROLPLANE BALANCERCTL LOAD --out RESULTS.json [--rounds N] [--secs S] [--rate REQUESTS] [--changes N] [--limits N]
"""
import argparse, contextlib, json, multiprocessing, os, re, shutil, socket, statistics, subprocess, tempfile, time

import lab
from instructions import is_ready
from proxies import backend

KINDS = ("quiet", "elsewhere", "here")


@contextlib.contextmanager
def in_memory():
    path = tempfile.mkdtemp(prefix="bench-", dir="/dev/shm")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def control_plane(args, backend_port):
    """With all the limits; its port."""
    with in_memory() as folder:
        admin = lab.free_port()
        config = lab.write(folder, "config.yaml", f"""default_limits: {{ capacity: 1000000000, rate_per_sec: 1000000000 }}
backend_list: [{{ backend_url: "http://127.0.0.1:{backend_port}", config: {{ health: {{ url: /small }} }} }}]
admin: {{ host: 127.0.0.1, port: {admin} }}
limits: {{ scope: local }}
database: {{ url: "sqlite://{folder}/balancer.db" }}
""")
        command = [args.controlplane, "--config", config, "--log-level", "warn"]
        with lab.running(command, folder, cpus="1", log="controlplane") as process:
            lab.wait_for(lambda: is_ready(admin), process, "the control plane is ready")
            rows = "".join(f"client-{n},1000000000,1000000000\n" for n in range(args.limits))
            rows = lab.write(folder, "limits.csv", "client_id,capacity,rate_per_sec\n" + rows)
            subprocess.run([args.balancerctl, "--endpoint", f"http://127.0.0.1:{admin}", "limits", "import", rows], check=True, capture_output=True)
            yield admin


@contextlib.contextmanager
def data_plane(args, folder, admin):
    """Its port, and that of its metrics."""
    port, own = lab.free_port(), lab.free_port()
    command = [args.dataplane, "--control-plane", f"http://127.0.0.1:{admin}", "--listen", f"127.0.0.1:{port}"]
    command += ["--admin-listen", f"127.0.0.1:{own}", "--state-dir", "none", "--threads", "1", "--log-level", "warn"]
    with lab.running(command, folder, cpus="0", log="dataplane") as process:
        lab.wait_for(lambda: is_ready(own), process, "the data plane is ready")
        yield port, own


def revision(own):
    with socket.create_connection(("127.0.0.1", own)) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = sock.makefile("rb").read().decode()
    return int(float(re.search(r"^balancer_snapshot_revision ([\d.e+]+)", text, re.M).group(1)))


def change(admin, per_sec, limits, number, of):
    """Changes one limit after the other until it is stopped; behind its time it hurries."""
    # A limit that is set to what it is takes no revision: no number comes again in a later round.
    number += of * int(time.monotonic() * per_sec)
    os.sched_setaffinity(0, {1})
    sock = socket.create_connection(("127.0.0.1", admin))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    due, answers = time.monotonic(), sock.makefile("rb")
    while True:
        body = f'{{"client_id":"client-{number * 7919 % limits}","capacity":{1_000_000_000 + number},"rate_per_sec":1000000000}}'
        head = f"PUT /limits/update HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall((head + body).encode())
        status = answers.readline()
        assert b" 204 " in status, status
        while answers.readline() != b"\r\n":
            pass
        number += of
        due += of / per_sec
        time.sleep(max(0, due - time.monotonic()))


@contextlib.contextmanager
def changes(args, admin):
    if admin is None:
        yield
        return
    many = 4  # connections: one alone waits for each answer
    changers = [multiprocessing.Process(target=change, args=(admin, args.changes, args.limits, n, many), daemon=True) for n in range(many)]
    for changer in changers:
        changer.start()
    try:
        yield
    finally:
        for changer in changers:
            changer.terminate()
            changer.join()


def measure(args, port, own, admin):
    load = [args.load, "--port", str(port), "--rate", str(args.rate), "--secs", str(args.secs), "--connections", "16"]
    with changes(args, admin):
        before, begun = revision(own), time.monotonic()
        result = json.loads(subprocess.run(["taskset", "-c", "1"] + load, stdout=subprocess.PIPE, check=True).stdout)
        return result | {"changes_per_sec": (revision(own) - before) / (time.monotonic() - begun)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dataplane", "controlplane", "balancerctl", "load"):
        parser.add_argument(name)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--secs", type=float, default=3)
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--changes", type=int, default=1000)
    parser.add_argument("--limits", type=int, default=100_000)
    args = parser.parse_args()
    results = {kind: [] for kind in KINDS}
    with lab.folder() as folder:
        behind = lab.free_port()
        with lab.running(backend(folder, behind), folder, cpus="1"), control_plane(args, behind) as here, control_plane(args, behind) as elsewhere:
            with data_plane(args, folder, here) as (port, own):
                where = {"quiet": None, "elsewhere": elsewhere, "here": here}
                for number in range(args.rounds):
                    for kind in KINDS[:: 1 if number % 2 == 0 else -1]:
                        results[kind].append(measure(args, port, own, where[kind]))
    with open(args.out, "w") as out:
        json.dump(results, out, indent=1)
    print("| changes | reach the data plane, per second | p50 ms | p99 ms | p99.9 ms | failures |\n|---|---|---|---|---|---|")
    for kind, rounds in results.items():
        median = lambda key: statistics.median(each[key] for each in rounds)
        print(f"| {kind} | {median('changes_per_sec'):.0f} | {median('p50_ms'):.3f} | {median('p99_ms'):.3f} | {median('p999_ms'):.3f} | {sum(each['failures'] for each in rounds)} |")
    print(ratio_row(results))


def ratio_row(results):
    ratios = [here["p99_ms"] / elsewhere["p99_ms"] for here, elsewhere in zip(results["here"], results["elsewhere"])]
    return f"| here beside elsewhere, round by round | | | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | | |"


if __name__ == "__main__":
    main()
