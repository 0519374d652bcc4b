#!/usr/bin/env python3
"""How many instructions the data plane spends in user space on a request: a check that no noise of the machine moves.

A data plane under callgrind, an undisturbed control plane, one connection, one request after another. Each case is
counted twice, with few requests and with many; the difference is what the requests cost, and start-up falls out.
Fails if a case costs more than its bound in bench/instructions.json; says so if a bound has become too generous.

Usage: bench/instructions.py DATAPLANE CONTROLPLANE [--write] [--requests N]
--write makes the bounds anew: what was counted and a tenth. Needs valgrind.
"""
import argparse, json, os, re, signal, socket, sys, threading

import lab

BOUNDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
MARGIN = 0.10
FEW = 200

GET = b"GET /small HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
POST = b"POST /small HTTP/1.1\r\nHost: bench.example\r\nContent-Length: 10240\r\n\r\n" + b"y" * 10240
UNLIMITED = 1_000_000_000

# name -> (request, status, capacity of the client's bucket)
CASES = {
    "GET, 13 bytes": (GET, 200, UNLIMITED),
    "GET, refused with 429": (GET, 429, 1),
    "POST, 10 KiB": (POST, 200, UNLIMITED),
}


class Messages:
    """One HTTP message after another from a socket: heads, and bodies that say how long they are."""

    def __init__(self, sock):
        self.sock, self.rest = sock, b""

    def next(self):
        """The head, or None at the end."""
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        head, self.rest = self.rest[: end + 4], self.rest[end + 4 :]
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        left = int(length.group(1)) if length else 0
        while len(self.rest) < left:
            if not self._more():
                return None
        self.rest = self.rest[left:]
        return head

    def _more(self):
        part = self.sock.recv(65536)
        self.rest += part
        return part


def backend():
    """Answers every request from memory; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock):
        with sock:
            messages = Messages(sock)
            while messages.next():
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!")

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def config(folder, admin_port, backend_port, capacity):
    return lab.write(folder, "config.yaml", f"""default_limits: {{ capacity: {capacity}, rate_per_sec: 0.001 }}
backend_list: [{{ backend_url: "http://127.0.0.1:{backend_port}" }}]
admin: {{ host: 127.0.0.1, port: {admin_port} }}
database: {{ url: "sqlite://{folder}/balancer.db" }}
""")


def send(port, request, count):
    """Statuses of `count` requests on one connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        messages = Messages(sock)
        statuses = []
        for _ in range(count):
            sock.sendall(request)
            head = messages.next() or sys.exit("the data plane closed the connection")
            statuses.append(int(head[9:12]))
        return statuses


def is_ready(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b" 200 " in sock.recv(100)


def instructions(programs, backend_port, case, count):
    """Of a whole life of a data plane that answers `count` requests."""
    request, expected, capacity = CASES[case]
    with lab.folder() as folder:
        port, own_admin, admin = lab.free_port(), lab.free_port(), lab.free_port()
        control = [programs.controlplane, "--config", config(folder, admin, backend_port, capacity), "--log-level", "warn"]
        data = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/counts", programs.dataplane]
        data += ["--control-plane", f"http://127.0.0.1:{admin}", "--listen", f"127.0.0.1:{port}", "--threads", "1"]
        data += ["--admin-listen", f"127.0.0.1:{own_admin}", "--log-level", "warn", "--max-clients", "10000"]
        with lab.running(control, folder, log="controlplane") as process:
            lab.wait_for(lambda: is_ready(admin), process, "the control plane is ready")
            with lab.running(data, folder, stop_signal=signal.SIGTERM, log="dataplane") as process:
                lab.wait_for(lambda: is_ready(own_admin), process, "the data plane is ready")
                send(port, request, 1)
                wrong = [status for status in send(port, request, count) if status != expected]
                if wrong:
                    sys.exit(f"{case}: {len(wrong)} of {count} requests were answered with {wrong[0]}, not {expected}")
        counts = open(f"{folder}/counts", errors="replace").read()
    return int(re.findall(r"^(?:summary|totals): (\d+)", counts, re.M)[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataplane")
    parser.add_argument("controlplane")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--requests", type=int, default=3000)
    args = parser.parse_args()
    port, measured = backend(), {}
    bounds = {} if args.write else json.load(open(BOUNDS))
    print("User-space instructions of the data plane per request (callgrind)")
    for case in CASES:
        few, many = (instructions(args, port, case, count) for count in (FEW, FEW + args.requests))
        measured[case] = round((many - few) / args.requests)
        if case in bounds:
            was = bounds[case]["measured"]
            print(f"{case}: {measured[case]}, {(measured[case] / was - 1) * 100:+.1f} % to {was}; bound {bounds[case]['bound']}")
        else:
            print(f"{case}: {measured[case]}", flush=True)
    if args.write:
        bounds = {case: {"measured": count, "bound": round(count * (1 + MARGIN))} for case, count in measured.items()}
        lab.write(os.path.dirname(BOUNDS), os.path.basename(BOUNDS), json.dumps(bounds, indent=2) + "\n")
        return
    if any(count < bounds[case]["measured"] * (1 - MARGIN) for case, count in measured.items()):
        print("A case costs much less than its bound: bench/instructions.py --write keeps that")
    above = [case for case, count in measured.items() if count > bounds[case]["bound"]]
    if above:
        sys.exit(f"Above the bound: {'; '.join(above)}. If that is what the change is worth, bench/instructions.py --write")


if __name__ == "__main__":
    main()
