#!/usr/bin/env python3
"""Balancer beside nginx and HAProxy on one machine: CPU time per request, as a ratio within one run.

One proxy at a time runs on CPU 0; wrk and the backend (an nginx that answers from memory) run on CPU 1. The proxies
take turns, A B C then C B A, and each figure is the median over all rounds. Wall-clock figures of a small shared machine
mean little; CPU time of the proxy's processes divided by the requests they answered is steadier, and its ratio to a
peer measured a moment earlier is steadier still.

Usage: bench/side_by_side.py PATH_TO_BALANCER [--rounds N] [--secs S] [--case NAME ...]
Needs nginx, haproxy, wrk and taskset on the PATH. Loopback only.
"""
import argparse, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request

TICKS = os.sysconf("SC_CLK_TCK")
ENDLESS = 1_000_000_000

# name -> (path, extra wrk arguments, requests per second each client may make)
CASES = {
    "get": ("/small", [], ENDLESS),
    "get 100 KiB": ("/large", [], ENDLESS),
    "refused": ("/small", [], 10),
    "new connection each": ("/small", ["-H", "Connection: close"], ENDLESS),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def nginx_conf(folder, body):
    return f"""daemon off; master_process on; worker_processes 1; pid {folder}/pid; error_log {folder}/log error;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; {body} }}"""


def backend(folder, port):
    with open(f"{folder}/large", "w") as f:
        f.write("x" * 102400)
    body = f"""server {{ listen 127.0.0.1:{port} backlog=4096; root {folder};
      location / {{ return 200 "Hello, world!"; }} location = /large {{ }} }}"""
    return start(folder, ["nginx", "-p", folder, "-c", write(folder, "nginx.conf", nginx_conf(folder, body))], "1")


def nginx(folder, port, backend_port, rate, _):
    # nginx counts in whole requests per second and allows a burst of as many.
    limit = min(rate, 1_000_000)
    body = f"""limit_req_zone $binary_remote_addr zone=z:10m rate={limit}r/s; limit_req_status 429;
    upstream b {{ server 127.0.0.1:{backend_port}; keepalive 256; keepalive_requests 1000000000; }}
    server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ limit_req zone=z burst={limit} nodelay; proxy_pass http://b;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}"""
    return ["nginx", "-p", folder, "-c", write(folder, "nginx.conf", nginx_conf(folder, body))]


def haproxy(folder, port, backend_port, rate, _):
    return ["haproxy", "-db", "-f", write(folder, "haproxy.cfg", f"""global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend f
  bind 127.0.0.1:{port} backlog 4096
  stick-table type ip size 1m expire 60s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {min(rate, 2_000_000_000)} }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{backend_port}
""")]


def balancer(folder, port, backend_port, rate, program):
    config = write(folder, "config.yaml", f"""server: {{ host: 127.0.0.1, port: {port} }}
default_limits: {{ capacity: {rate}, rate_per_sec: {rate} }}
backend_list: [{{ backend_url: "http://127.0.0.1:{backend_port}", config: {{ health: {{ url: /small }} }} }}]
admin: {{ host: 127.0.0.1, port: {free_port()} }}
database: {{ url: "sqlite://{folder}/balancer.db" }}
""")
    return [program, "--config", config, "--threads", "1", "--log-level", "warn"]


PROXIES = {"nginx": nginx, "haproxy": haproxy, "balancer": balancer}
BASE = "haproxy"


def write(folder, name, text):
    path = f"{folder}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


def start(folder, command, cpu):
    out = open(f"{folder}/out", "wb")
    return subprocess.Popen(["taskset", "-c", cpu] + command, stdout=out, stderr=out, start_new_session=True)


def wait_until_answers(port, process, folder):
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"a program ended early:\n{open(folder + '/out').read()}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/small", timeout=1).read()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("a program does not answer")


def cpu_seconds(process):
    """Of all processes in the session, user and system."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == process.pid:
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def stop(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def measure(name, program, case, backend_port, secs):
    path, extra, rate = CASES[case]
    folder = tempfile.mkdtemp(prefix="bench-")
    os.chmod(folder, 0o755)
    port = free_port()
    process = start(folder, PROXIES[name](folder, port, backend_port, rate, program), "0")
    try:
        wait_until_answers(port, process, folder)
        load(port, path, extra, 1)
        before = cpu_seconds(process)
        requests, rps, p99, failures = load(port, path, extra, secs)
        cpu_us = (cpu_seconds(process) - before) / requests * 1e6
        return {"cpu_us": cpu_us, "rps": rps, "p99_ms": p99, "failures": failures}
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def load(port, path, extra, secs):
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{secs}s", "--latency"] + extra
    text = subprocess.run(command + [f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return (
        int(re.search(r"(\d+) requests in", text).group(1)),
        float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        sum(map(int, errors.groups())) if errors else 0,
    )


def version(command, pattern):
    done = subprocess.run(command, capture_output=True, text=True)
    return re.search(pattern, done.stdout + done.stderr).group(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("balancer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=3)
    parser.add_argument("--case", action="append", choices=list(CASES))
    args = parser.parse_args()
    versions = f"nginx {version(['nginx', '-v'], r'nginx/([0-9.]+)')}, haproxy {version(['haproxy', '-v'], r'version ([0-9.]+)')}"
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read()).group(1)
    print(f"{versions}; {model}, {os.cpu_count()} CPUs; {args.rounds} rounds of {args.secs} s; 64 connections, one proxy thread\n")
    folder = tempfile.mkdtemp(prefix="bench-")
    os.chmod(folder, 0o755)
    backend_port = free_port()
    server = backend(folder, backend_port)
    try:
        wait_until_answers(backend_port, server, folder)
        print("| case | proxy | CPU µs per request | ratio to haproxy: median (min to max) | requests/s | p99 ms | socket errors |")
        print("|---|---|---|---|---|---|---|")
        for case in args.case or CASES:
            results = {name: [] for name in PROXIES}
            for number in range(args.rounds):
                order = list(PROXIES) if number % 2 == 0 else list(reversed(PROXIES))
                for name in order:
                    results[name].append(measure(name, args.balancer, case, backend_port, args.secs))
            for name, rounds in results.items():
                middle = lambda key: statistics.median(r[key] for r in rounds)
                ratios = [r["cpu_us"] / b["cpu_us"] for r, b in zip(rounds, results[BASE])]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                failures = sum(r["failures"] for r in rounds)
                print(f"| {case} | {name} | {middle('cpu_us'):.1f} | {spread} | {middle('rps'):.0f} | {middle('p99_ms'):.1f} | {failures} |", flush=True)
    finally:
        stop(server)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
