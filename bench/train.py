#!/usr/bin/env python3
"""Puts a Balancer under the loads that are measured, so that one built to count tells the compiler which paths are hot.

Usage: bench/train.py BALANCER BALANCERCTL LOAD TEST_BACKEND
Where the counts go is what LLVM_PROFILE_FILE says. Needs openssl and taskset on the PATH. Loopback only.
"""
import argparse, contextlib, dataclasses, re

import lab
from cases import CASES
from proxies import balancer
from side_by_side import Tools, fixed

SECS = 2
# Counting slows down, and with "as fast as it goes" nobody would know how much was counted.
CASES_TO_LEARN = [case for case in CASES.values() if case.requests_per_sec and case.threads == 1]


def learn(tools, case, backend_port):
    path = "/bytes/" + re.sub(r"\D", "", case.path) if re.search(r"\d", case.path) else "/bytes/13"
    case = dataclasses.replace(case, path=path, requests_per_sec=case.requests_per_sec // 4)
    with lab.folder() as folder:
        port = lab.free_port()
        # What is counted is written at an orderly end.
        with lab.running(balancer(folder, port, backend_port, case, tools), folder, stop_signal=15) as process:
            probe = dataclasses.replace(case, requests_per_sec=100, connections=1)
            lab.wait_for(lambda: fixed(tools, probe, port, 0.2)["requests"], process, "it answers")
            print(f"{case.title}: {fixed(tools, case, port, SECS)['requests']} requests", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("balancer", "balancerctl", "load", "test_backend"):
        parser.add_argument(name)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        at, tools = stack.enter_context(lab.folder()), Tools(stack.enter_context(lab.folder()), args)
        port = lab.free_port()
        command = [args.test_backend, "--listen", f"127.0.0.1:{port}"]
        backend = stack.enter_context(lab.running(command, at))
        probe = dataclasses.replace(CASES["get"], requests_per_sec=100, connections=1)
        lab.wait_for(lambda: fixed(tools, probe, port, 0.2)["requests"], backend, "the backend answers")
        for case in CASES_TO_LEARN:
            learn(tools, case, port)


if __name__ == "__main__":
    main()
