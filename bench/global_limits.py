#!/usr/bin/env python3
"""What it costs that limits hold across data planes: one data plane with limits.scope local and global.

For each scope: the latency of requests of a known client, one after the other on one connection; the latency of the first
request of clients that are new; and how often the control plane was asked. The scopes take turns request by request, and each
figure is the median over all rounds. With redis-server on the PATH also a round trip that a counter in Redis would add to
each request (EVALSHA of a token bucket), from this script to a server on the same machine.

Usage: bench/global_limits.py DIRECTORY_OF_PROGRAMS [--rounds N] [--requests N]
Loopback only.
"""
import argparse, json, re, shutil, socket, statistics, subprocess, sys, tempfile, time, urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_ready(url):
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit(f"{url} does not become ready")


class Planes:
    """A backend, a control plane and a data plane."""

    def __init__(self, programs, scope):
        self.folder = tempfile.mkdtemp()
        self.proxy, self.admin, self.backend, self.control = (free_port() for _ in range(4))
        config = f"{self.folder}/config.yaml"
        with open(config, "w") as f:
            f.write(f"""server: {{ host: 127.0.0.1, port: 0 }}
admin: {{ host: 127.0.0.1, port: {self.control} }}
default_limits: {{ capacity: 1000000, rate_per_sec: 1000000 }}
database: {{ url: "sqlite://{self.folder}/balancer.db" }}
limits: {{ scope: {scope} }}
client: {{ trusted_proxies: [127.0.0.1] }}
backend_list: [{{ backend_url: "http://127.0.0.1:{self.backend}" }}]
""")
        self.processes = [
            self.start(f"{programs}/test-backend", "--listen", f"127.0.0.1:{self.backend}"),
            self.start(f"{programs}/controlplane", "--config", config),
        ]
        await_ready(f"http://127.0.0.1:{self.control}/readyz")
        self.processes.append(self.start(
            f"{programs}/dataplane", "--control-plane", f"http://127.0.0.1:{self.control}", "--threads", "1",
            "--listen", f"127.0.0.1:{self.proxy}", "--admin-listen", f"127.0.0.1:{self.admin}",
            "--state-dir", f"{self.folder}/state"))
        await_ready(f"http://127.0.0.1:{self.admin}/readyz")

    def start(self, *command):
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder)

    def asks(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics") as page:
            return float(re.search(r"^balancer_lease_asks_total (\S+)", page.read().decode(), re.M).group(1))

    def connect(self):
        self.refused = 0
        self.socket = socket.create_connection(("127.0.0.1", self.proxy))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def latency(self, client):
        """Microseconds of one request from this address."""
        head = f"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\n\r\n".encode()
        begun = time.perf_counter()
        self.socket.sendall(head)
        answer = self.socket.recv(65536)
        took = (time.perf_counter() - begun) * 1e6
        # A new client whose answer from the ledger is late may be refused: on a machine that does other things it happens.
        assert answer[9:12] in (b"200", b"429"), answer
        self.refused += answer[9:12] == b"429"
        return took


def measure(programs, requests):
    """Both scopes in turn, request by request, so that whatever else the machine does meets both alike."""
    both = {scope: Planes(programs, scope) for scope in ("local", "global")}
    try:
        for planes in both.values():
            planes.connect()
            for _ in range(500):
                planes.latency("192.0.2.1")
        before = {scope: planes.asks() for scope, planes in both.items()}
        known, new = ({scope: [] for scope in both} for _ in range(2))
        for _ in range(requests):
            for scope, planes in both.items():
                known[scope].append(planes.latency("192.0.2.1"))
        asks = {scope: (planes.asks() - before[scope]) / requests for scope, planes in both.items()}
        for i in range(requests // 10):
            for scope, planes in both.items():
                new[scope].append(planes.latency(f"10.1.{i // 250}.{i % 250}"))
        return {
            scope: figures(known[scope])
            | {"first " + name: figure for name, figure in figures(new[scope]).items()}
            | {"asks per request": asks[scope], "refused": both[scope].refused}
            for scope in both
        }
    finally:
        for planes in both.values():
            planes.stop()


def figures(took):
    took = sorted(took)
    return {f"p{part}": round(took[len(took) * part // 100], 1) for part in (50, 90, 99)}


BUCKET = """local b = redis.call('HMGET', KEYS[1], 't', 'at')
local now = redis.call('TIME'); now = now[1] + now[2] / 1e6
local t = math.min(1e6, (tonumber(b[1]) or 1e6) + (now - (tonumber(b[2]) or now)) * 1e6)
if t < 1 then return 0 end
redis.call('HSET', KEYS[1], 't', t - 1, 'at', now)
return 1"""


def redis(requests):
    """Microseconds that a token bucket in Redis takes for each request."""
    port = free_port()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"],
                              stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                s = socket.create_connection(("127.0.0.1", port))
                break
            except OSError:
                time.sleep(0.05)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def call(*words):
            parts = [word.encode() for word in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            return s.recv(4096)

        digest = call("SCRIPT", "LOAD", BUCKET).split(b"\r\n")[1].decode()
        took = []
        for _ in range(requests):
            begun = time.perf_counter()
            answer = call("EVALSHA", digest, "1", "client")
            took.append((time.perf_counter() - begun) * 1e6)
            assert answer == b":1\r\n", answer
        return figures(took)
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10000)
    options = parser.parse_args()
    rounds = [measure(options.programs, options.requests) for _ in range(options.rounds)]
    names = list(rounds[0]["local"])
    print("| scope | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for scope in ("local", "global"):
        medians = [statistics.median(r[scope][name] for r in rounds) for name in names]
        print(f"| {scope} | " + " | ".join(f"{m:.4f}" if m < 1 else f"{m:.1f}" for m in medians) + " |")
    added = [statistics.median(r["global"][n] - r["local"][n] for r in rounds) for n in ("p50", "p90", "p99")]
    print(f"added for a known client, median over rounds: p50 {added[0]:+.1f}, p90 {added[1]:+.1f}, p99 {added[2]:+.1f} us")
    if shutil.which("redis-server"):
        print("a call to Redis for each request would add:", json.dumps(redis(options.requests)))


main()
