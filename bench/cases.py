"""What is measured: the load, and what the proxies are told."""
from dataclasses import dataclass, field

from proxies import ENDLESS


@dataclass
class Case:
    title: str
    requests_per_sec: int  # 0: as many as can be, with wrk
    path: str = "/small"
    connections: int = 64
    threads: int = 1
    post: int = 0
    keys: int = 0
    rate_limit: int = ENDLESS  # requests per second for each client
    new_connections: bool = False
    tls: bool = False
    scope: str = "global"  # of Balancer's limits, which only it has; global is what it does unless told otherwise
    warm_up_secs: float = 0.5
    extra: list = field(default_factory=list)

    def load_arguments(self):
        some = ["--rate", str(self.requests_per_sec), "--path", self.path, "--connections", str(self.connections)]
        some += ["--post", str(self.post)] if self.post else []
        some += ["--keys", str(self.keys)] if self.keys else []
        return some + (["--new-connections"] if self.new_connections else []) + self.extra


CASES = {
    "get": Case("GET, 13 bytes", 8000),
    "get-2-threads": Case("GET, 13 bytes, 2 threads", 8000, threads=2),
    "get-max": Case("GET, 13 bytes, as fast as it goes", 0),
    "1k": Case("GET, 1 KiB", 8000, path="/1024"),
    "100k": Case("GET, 100 KiB", 1500, path="/102400", connections=32),
    "post10k": Case("POST, 10 KiB", 5000, post=10240),
    "rl-allow": Case("10,000 clients, all within their limits", 8000, keys=10_000, rate_limit=1000, warm_up_secs=2, scope="local"),
    "rl-global": Case("the same; Balancer shares limits among data planes", 8000, keys=10_000, rate_limit=1000, warm_up_secs=2),
    "rl-flood": Case("80 clients, 95 % and more refused", 16000, keys=80, rate_limit=10),
    "newconn": Case("a new connection each", 2500, connections=256, new_connections=True),
    "tls-get": Case("TLS: GET, 13 bytes", 5000, tls=True),
    "tls-newconn": Case("TLS: a new connection each, session resumed", 1000, new_connections=True, tls=True),
}

# Requests per second at which latency is looked at.
LOADS = [2_000, 5_000, 10_000, 15_000, 20_000, 25_000, 30_000]
