"""Runs `tidemark detect` and `tidemark forecast` over the labelled data, scores the results with the project's
scorers and prints the table of what is reached beside the peers' figures and the aims.

fixed = the shipped settings, the columns a user sees. tuned = one threshold on the score, chosen on the scored files
themselves: optimistic, for every detector alike.
"""
import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "tidemark-test"


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", type=Path, default=Path(os.environ.get("TIDEMARK_DATA", ROOT.parent / "shared/data")))
    ap.add_argument("--eval", type=Path, default=Path(os.environ.get("TIDEMARK_EVAL", ROOT.parent / "shared/eval")))
    ap.add_argument("--binary", type=Path, help="a built tidemark; without it the release binary is built")
    ap.add_argument("--out", type=Path, default=CACHE / "quality", help="where results go")
    ap.add_argument("--bootstrap", type=int, default=0, metavar="N", help="resample the files N times: 95 %% intervals")
    ap.add_argument("--groups", action="store_true", help="the fixed figures of each group of files as well")
    ap.add_argument("--json", type=Path, help="write every figure here too")
    return ap.parse_args()


def build():
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "tidemark"], cwd=ROOT, check=True)
    meta = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT, check=True,
                          capture_output=True, text=True)
    return Path(json.loads(meta.stdout)["target_directory"]) / "release/tidemark"


def values(path):
    """How many values a file or a folder of files holds: rows of `timestamp,value`, or the cells of wide rows."""
    if path.is_dir():
        return sum(values(p) for p in path.rglob("*.csv*"))
    with (gzip.open(path, "rt") if path.suffix == ".gz" else open(path)) as lines:
        wide = not next(lines).lower().startswith("timestamp")
        return sum(line.count(",") if wide else 1 for line in lines)


class Bench:
    def __init__(self, a):
        self.a = a
        self.binary = a.binary or build()
        self.seconds, self.values = {}, {}

    def tidemark(self, name, *command):
        began = time.monotonic()
        subprocess.run([self.binary, *map(str, command), "--quiet"], check=True, cwd=self.a.out)
        self.seconds[name] = time.monotonic() - began
        self.values[name] = values(Path(command[command.index("--input") + 1]))

    def score(self, script, *options):
        out = self.a.out / "score.json"
        command = [sys.executable, self.a.eval / script, *map(str, options), "--json", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(out.read_text())

    def produce(self):
        a = self.a
        a.out.mkdir(parents=True, exist_ok=True)
        self.tidemark("detect nab", "detect", "--input", a.data / "nab/data", "--output", a.out / "nab")
        for name in ("aiops2018", "mscloud"):
            self.tidemark(f"detect {name}", "detect", "--input", a.data / name, "--output", a.out / name)
        for name, horizon, season in (("m4hourly", 48, 24), ("nn5daily", 56, 7)):
            self.tidemark(f"forecast {name}", "forecast", "--input", a.data / name / "train.csv.gz", "--horizon", horizon,
                          "--season", season, "--output", a.out / f"{name}.csv")
        self.tidemark("forecast rolling", "forecast", "--rolling", "1d", "--input", a.data / "aiops2018",
                      "--output", a.out / "roll")

    def nab(self, *files):
        a = self.a
        extra = ["--bootstrap", a.bootstrap] if a.bootstrap and not files else []
        picked = ["--files", *files] if files else []
        return self.score("nab_score.py", "--results", a.out / "nab", "--data", a.data / "nab/data", "--labels",
                          a.data / "nab/labels/combined_windows.json", "--fixed-column", "alert", *extra, *picked)

    def kpi(self, name, column, *files):
        a = self.a
        part = ["--from", 0.25] if name == "mscloud" else []
        extra = ["--bootstrap", a.bootstrap] if a.bootstrap and not files else []
        picked = ["--files", *files] if files else []
        return self.score("kpi_score.py", "--truth", a.data / name, "--det", a.out / name, "--flag-column", column,
                          "--vus-window", -1, *part, *extra, *picked)

    def horizon(self, name, season):
        a = self.a
        return self.score("forecast_score.py", "m4", "--season", season, "--train", a.data / name / "train.csv.gz",
                          "--test", a.data / name / "test.csv.gz", "--forecast", a.out / f"{name}.csv")

    def roll(self):
        return self.score("forecast_score.py", "roll", "--season", "day", "--truth", self.a.data / "aiops2018",
                          "--pred", self.a.out / "roll")


def spread(record):
    low, high = record.get("interval95", (None, None))
    return "" if low is None else f"{low:.3g} .. {high:.3g}"


def table(bench):
    nab = bench.nab()
    std = nab["profiles"]["standard"]
    rows_aiops, alerts_aiops = bench.kpi("aiops2018", "is_anomaly"), bench.kpi("aiops2018", "alert")
    micro = bench.kpi("mscloud", "is_anomaly")
    names = sorted(p.relative_to(bench.a.data / "mscloud").as_posix().removesuffix(".gz")
                   for p in (bench.a.data / "mscloud").rglob("*.csv.gz") if "ingress-04" not in p.name)
    without = bench.kpi("mscloud", "is_anomaly", *names)
    m4, nn5, roll = bench.horizon("m4hourly", 24), bench.horizon("nn5daily", 7), bench.roll()
    event, tuned = alerts_aiops["event"]["fixed"], alerts_aiops["event"]["tuned"]
    recall = rows_aiops["event"]["recall_at_false_alarms_per_metric_day"]["0.5"]
    rate = f"at {event['false_alarms_per_metric_day']:.2f} false alarms a metric-day"
    figures = [
        ("NAB standard, `alert`", std["fixed"]["score"], std["tuned"]["score"], spread(std["fixed"]),
         "74.5 ARTime, 68.0 HTM", ">= 60, 70"),
        ("AIOps F1 k=7, `is_anomaly`", rows_aiops["pa_k"]["fixed"]["f1"], rows_aiops["pa_k"]["tuned"]["f1"],
         spread(rows_aiops["pa_k"]["fixed"]), ".56", ">= .78, .85"),
        (f"AIOps event F1, `alert`, {rate}", event["f1"], tuned["f1"], "", "", ">= .60, .70 at <= .35"),
        ("AIOps event recall at 0.5 a day, score", recall, None, "", ".33", ">= .72, .80"),
        ("Microsoft F1, `is_anomaly`", micro["pa_k"]["fixed"]["f1"], micro["pa_k"]["tuned"]["f1"],
         spread(micro["pa_k"]["fixed"]), ".59", ">= .62, .70"),
        ("  without ingress-04", without["pa_k"]["fixed"]["f1"], without["pa_k"]["tuned"]["f1"], "", "", ""),
        ("M4 hourly OWA", m4["owa_vs_naive2"], None, "", ".56 MSTL", "<= .55, .48"),
        ("M4 hourly MASE", m4["mase"], None, "", "1.13 MSTL", "<= 1.05"),
        ("NN5 daily MASE", nn5["mase"], None, "", ".86", "<= .86"),
        ("AIOps rolling day-ahead median MASE", roll["median_mase"], None, "", ".85", "<= .80"),
        ("  coverage of the 95 % interval", roll["coverage"], None, "", "", ""),
    ]
    return figures, {"nab": nab, "aiops_rows": rows_aiops, "aiops_alerts": alerts_aiops, "mscloud": micro,
                     "mscloud_without_ingress_04": without, "m4hourly": m4, "nn5daily": nn5, "rolling": roll}


def groups(bench):
    print("\n| group | fixed |\n|---|---|")
    for folder in sorted(p.name for p in (bench.a.data / "nab/data").iterdir() if p.is_dir()):
        score = bench.nab(f"{folder}/*")["profiles"]["standard"]["fixed"]
        print(f"| NAB {folder} | {score['score']:.1f}, {score['windows_found']} of {score['windows']} windows, "
              f"{score['fp_rows']} false alarms |")
    for folder in sorted(p.name for p in (bench.a.data / "mscloud").iterdir() if p.is_dir()):
        score = bench.kpi("mscloud", "is_anomaly", f"{folder}/*")["pa_k"]["fixed"]
        print(f"| Microsoft {folder} | F1 {score['f1']:.3f}, P {score['precision']:.2f}, R {score['recall']:.2f} |")
    for path in sorted((bench.a.data / "aiops2018").glob("*.csv.gz")):
        name = path.name.removesuffix(".gz")
        rows, told = bench.kpi("aiops2018", "is_anomaly", name), bench.kpi("aiops2018", "alert", name)
        event = told["event"]["fixed"]
        print(f"| AIOps {name[:8]} | F1 {rows['pa_k']['fixed']['f1']:.3f}; events {event['found']} of "
              f"{event['segments']}, {event['false_alarms_per_metric_day']:.2f} false alarms a day |")


def cell(value):
    return "" if value is None else f"{value:.1f}" if abs(value) > 5 else f"{value:.3f}"


def main():
    a = arguments()
    a.out, a.data, a.eval = a.out.resolve(), a.data.resolve(), a.eval.resolve()
    if a.binary:
        a.binary = a.binary.resolve()
    bench = Bench(a)
    bench.produce()
    figures, whole = table(bench)
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    print(f"tidemark {version.stdout.strip()}, {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, "
          f"{platform.machine()}, {os.cpu_count()} cores, data {a.data}\n")
    print("| measure | fixed | tuned | 95 % | best peer | aim, stretch |\n|---|---|---|---|---|---|")
    for name, fixed, tuned, interval, peer, aim in figures:
        print(f"| {name} | {cell(fixed)} | {cell(tuned)} | {interval} | {peer} | {aim} |")
    print("\n| command | values | seconds | values/s |\n|---|---|---|---|")
    for name, seconds in bench.seconds.items():
        values = bench.values[name]
        print(f"| {name} | {values:,} | {seconds:.2f} | {values / seconds:,.0f} |")
    if a.groups:
        groups(bench)
    if a.json:
        a.json.write_text(json.dumps(dict(whole, seconds=bench.seconds), indent=1))


if __name__ == "__main__":
    main()
