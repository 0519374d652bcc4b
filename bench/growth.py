#!/usr/bin/env python3
"""How the data plane grows: memory and spread over threads by connections; time and memory by named limits.

Usage: bench/growth.py DATAPLANE CONTROLPLANE BALANCERCTL LOAD --out RESULTS.json [--limits N ...] [--connections N ...]
"""
import argparse, contextlib, json, os, re, resource, subprocess, time

import lab
from instructions import is_ready
from proxies import backend


@contextlib.contextmanager
def control_plane(args, folder, backend_port):
    admin = lab.free_port()
    config = lab.write(folder, "config.yaml", f"""default_limits: {{ capacity: 1000000000, rate_per_sec: 1000000000 }}
backend_list: [{{ backend_url: "http://127.0.0.1:{backend_port}", config: {{ health: {{ url: /small }} }} }}]
admin: {{ host: 127.0.0.1, port: {admin} }}
database: {{ url: "sqlite://{folder}/balancer.db" }}
""")
    with lab.running([args.controlplane, "--config", config, "--log-level", "warn"], folder, log="controlplane") as process:
        lab.wait_for(lambda: is_ready(admin), process, "the control plane is ready")
        yield process, admin


@contextlib.contextmanager
def data_plane(args, folder, admin, threads=1):
    """Also the seconds from its start until it had everything."""
    port, own = lab.free_port(), lab.free_port()
    command = [args.dataplane, "--control-plane", f"http://127.0.0.1:{admin}", "--listen", f"127.0.0.1:{port}"]
    command += ["--admin-listen", f"127.0.0.1:{own}", "--threads", str(threads), "--log-level", "warn"]
    begun = time.monotonic()
    with lab.running(command, folder, log="dataplane") as process:
        lab.wait_for(lambda: is_ready(own), process, "the data plane is ready")
        yield process, port, time.monotonic() - begun


def limits(args, count, backend_port):
    """A data plane that has nothing gets this many limits."""
    with lab.folder() as folder, control_plane(args, folder, backend_port) as (control, admin):
        rows = lab.write(folder, "limits.csv", "client_id,capacity,rate_per_sec\n" + "".join(f"client-{n},10,1\n" for n in range(count)))
        begun = time.monotonic()
        subprocess.run([args.balancerctl, "--endpoint", f"http://127.0.0.1:{admin}", "limits", "import", rows], check=True, capture_output=True)
        imported = time.monotonic() - begun
        with data_plane(args, folder, admin) as (process, _, secs):
            time.sleep(2)  # what was needed for a moment is given back
            return {"limits": count, "import_secs": imported, "ready_secs": secs, "data_plane_kib": lab.memory_kib(process), "control_plane_kib": lab.memory_kib(control)}


def per_thread(process):
    """Connections that each thread waits for: what its epoll instance watches."""
    watched = set()  # an instance may have several descriptors
    for pid, _ in lab.session(process):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if "eventpoll" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                    text = open(f"/proc/{pid}/fdinfo/{fd}").read()
                    watched.add(frozenset(re.findall(r"tfd:\s+(\d+)", text)))
    return sorted(map(len, watched), reverse=True)


def connections(args, count, backend_port):
    """Connections that made one request and stay."""
    with lab.folder() as folder, control_plane(args, folder, backend_port) as (_, admin):
        with data_plane(args, folder, admin, threads=2) as (process, port, _):
            hold(args, port, 8).communicate()
            before, idle = lab.memory_kib(process), per_thread(process)
            load = hold(args, port, count)
            load.stdout.readline()
            time.sleep(1)
            result = {"connections": count, "kib_each": (lab.memory_kib(process) - before) / count, "threads": [now - then for now, then in zip(per_thread(process)[:2], idle)]}
            load.communicate()
            return result


def hold(args, port, count):
    command = [args.load, "--port", str(port), "--connections", str(count), "--hold"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("dataplane", "controlplane", "balancerctl", "load"):
        parser.add_argument(name)
    parser.add_argument("--out", required=True)
    parser.add_argument("--limits", type=int, nargs="*", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--connections", type=int, nargs="*", default=[64, 100, 1_000, 10_000])
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results = {"limits": [], "connections": []}
    with lab.folder() as folder:
        port = lab.free_port()
        with lab.running(backend(folder, port), folder):
            for kind, measure in (("connections", connections), ("limits", limits)):
                for count in getattr(args, kind):
                    results[kind].append(measure(args, count, port))
                    print(results[kind][-1], flush=True)
    with open(args.out, "w") as out:
        json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
