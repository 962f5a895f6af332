#!/usr/bin/env python3
"""Start-up time and idle memory of `tidemark run`.

Usage: bench/startup/run.py [path of the release binary]

Starts the binary on a fresh folder with the configuration `tidemark init` writes, five times, and measures from exec to
the first 200 of /readyz; then lets the last one sample for a minute and reads its resident memory from /proc. A plain
`python3 -c pass` is started in the same run, as a yardstick of the machine.
"""
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

BINARY = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/release/tidemark").resolve()
RUNS = 5
IDLE_SECS = 60


def ready(folder):
    notes = list(folder.glob("**/process.json"))
    if not notes:
        return False
    try:
        address = json.loads(notes[0].read_text())["address"]
        return urllib.request.urlopen(f"http://{address}/readyz", timeout=1).status == 200
    except (OSError, ValueError, urllib.error.URLError):
        return False


def start(folder):
    config = folder / "tidemark.yaml"
    if not config.exists():
        subprocess.run([BINARY, "init"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        text = config.read_text()
        config.write_text(text.replace("127.0.0.1:9680", "127.0.0.1:0"))
    began = time.perf_counter()
    process = subprocess.Popen([BINARY, "run", "-q"], cwd=folder)
    while not ready(folder):
        if process.poll() is not None or time.perf_counter() - began > 60:
            sys.exit(f"{BINARY} did not become ready")
        time.sleep(0.005)
    return process, time.perf_counter() - began


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def resident_mib(process):
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


def yardstick():
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def main():
    first, again = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            process, took = start(folder)
            first.append(took)
            stop(process)
            process, took = start(folder)
            again.append(took)
            stop(process)
    with tempfile.TemporaryDirectory() as name:
        process, _ = start(pathlib.Path(name))
        time.sleep(IDLE_SECS)
        idle = resident_mib(process)
        stop(process)
    python = statistics.median(yardstick() for _ in range(RUNS))
    print(f"{BINARY.name} on {platform.machine()}, {os.cpu_count()} cores, median of {RUNS}")
    print(f"start to ready, new folder      {statistics.median(first) * 1000:7.0f} ms")
    print(f"start to ready, second start    {statistics.median(again) * 1000:7.0f} ms")
    print(f"`python3 -c pass` in this run   {python * 1000:7.0f} ms  (ratio {statistics.median(first) / python:.1f})")
    print(f"resident after {IDLE_SECS} s of sampling {idle:7.1f} MiB")


if __name__ == "__main__":
    main()
