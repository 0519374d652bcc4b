"""What the benchmarks share: ports, programs that are started and stopped, and what the kernel knows of them."""
import contextlib, os, shutil, signal, socket, subprocess, sys, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(folder, name, text):
    path = f"{folder}/{name}"
    with open(path, "w") as f:
        f.write(text)
    return path


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="bench-")
    os.chmod(path, 0o755)  # nginx gives up its rights and reads files of the folder
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running(command, at, cpus=None, stop_signal=signal.SIGKILL, log="out"):
    """A program and all that it starts, in a session of its own, for as long as the block lasts."""
    pin = ["taskset", "-c", cpus] if cpus else []
    with open(f"{at}/{log}", "wb") as out:
        process = subprocess.Popen(pin + command, stdout=out, stderr=out, start_new_session=True)
    process.log = f"{at}/{log}"
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(done, process, what, secs=60):
    """Asks again until `done()`; an error of the network is a no."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended early:\n{open(process.log, errors='replace').read()}")
        with contextlib.suppress(OSError):
            if done():
                return
        time.sleep(0.05)
    sys.exit(f"{what}: not after {secs} s:\n{open(process.log, errors='replace').read()}")


def session(process):
    """All processes that descend from this one and did not leave its session."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            if int(fields[3]) == process.pid:
                yield pid, fields


def cpu_seconds(process):
    """Of all threads of the session. The kernel counts user and system time in ticks of 10 ms, but this in nanoseconds."""
    total = 0
    for pid, _ in session(process):
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0])
    return total / 1e9


def memory_kib(process):
    """Proportional set size of the session."""
    total = 0
    for pid, _ in session(process):
        with contextlib.suppress(OSError):
            rollup = open(f"/proc/{pid}/smaps_rollup").read()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total
