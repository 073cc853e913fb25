"""What moved between two files: `mlops check`, Evidently, NannyML, and twenty lines with scipy, each a whole process.

    python bench/drift_peers.py --evidently-python PATH --nannyml-python PATH     50,000 rows on each side, 20 columns
    python bench/drift_peers.py --evidently-python PATH --only ours scipy --rounds 3

A peer is run if its Python is named, the script by one of theirs: each has an environment of its own
(bench/requirements-drift.txt). All read the same two Parquet files, four fifths of whose columns are numbers, the
others of eight categories; nothing has moved. Ours looks for broken deliveries, moved inputs and inputs that go
together in another way, with dependence and all that `mlops check` does by its defaults; Evidently runs its preset of
data drift, NannyML Kolmogorov-Smirnov and chi-square, each in one chunk, and the script the same two tests by scipy:
one p-value per column.

They take turns, after one round that is not counted; imports are included. Memory is what the process says itself
(VmHWM). A ratio is the median of the rounds' ratios, ours over the peer: below 1 ours is better.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PEAK = "peak-mib"
ALPHA = 0.05


def make(folder: Path, rows: int, columns: int) -> None:
    """Write reference.parquet and current.parquet: drawn from one law, with a seed each."""
    import numpy as np
    import polars as pl

    numbers = columns * 4 // 5
    for seed, name in enumerate(("reference", "current")):
        chance = np.random.default_rng(seed)
        values = {f"x{at}": chance.normal(size=rows) for at in range(numbers)}
        kinds = {f"kind{at}": chance.choice(list("abcdefgh"), size=rows) for at in range(columns - numbers)}
        pl.DataFrame(values | kinds).write_parquet(folder / f"{name}.parquet")


def ours(reference: Path, current: Path) -> None:
    """The command line."""
    from mlops.cli.main import main as command

    sys.argv = ["mlops", "check", str(reference), str(current), "--exit-zero"]
    try:
        command()
    except SystemExit as end:
        if end.code:
            raise


def evidently(reference: Path, current: Path) -> None:
    """The preset, and its answer as JSON."""
    import pandas as pd
    from evidently import Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    report = Report([DataDriftPreset()]).run(pd.read_parquet(current), pd.read_parquet(reference))
    print(len(report.json()))


def nannyml(reference: Path, current: Path) -> None:
    """Univariate drift of the whole file as one chunk."""
    import nannyml as nml  # type: ignore[import-not-found]
    import pandas as pd

    frames = [pd.read_parquet(path) for path in (reference, current)]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(frames[0].columns),
        continuous_methods=["kolmogorov_smirnov"],
        categorical_methods=["chi2"],
        chunk_number=1,
    )
    calculator.fit(frames[0])
    print(calculator.calculate(frames[1]).filter(period="analysis").to_df().shape)


def by_scipy(reference: Path, current: Path) -> None:
    """What one would write by hand."""
    import numpy as np
    import pyarrow.parquet as pq
    from scipy import stats

    before, after = pq.read_table(reference), pq.read_table(current)
    moved = []
    for name in before.column_names:
        one, other = before[name].to_numpy(), after[name].to_numpy()
        if one.dtype.kind == "f":
            p = stats.ks_2samp(one, other).pvalue
        else:
            kinds = np.unique(np.concatenate([one, other]))
            p = stats.chi2_contingency([[(side == kind).sum() for kind in kinds] for side in (one, other)]).pvalue
        if p < ALPHA:
            moved.append(name)
    print(moved)


CONTESTANTS: dict[str, Callable[[Path, Path], None]] = {
    "ours": ours,
    "evidently": evidently,
    "nannyml": nannyml,
    "scipy": by_scipy,
}
Run = tuple[float, float, float]


def measure(python: str, name: str, folder: Path) -> Run:
    """Run one contestant as a process and return wall seconds, CPU seconds and peak MiB."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # Whether modules were compiled when they were installed must not decide.
    environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    said = (folder / f"{name}.log").open("wb")
    started = time.perf_counter()
    child = os.posix_spawn(
        python,
        [python, __file__, "--run", name, "--folder", str(folder)],
        environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, said.fileno(), 1), (os.POSIX_SPAWN_DUP2, said.fileno(), 2)],
    )
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    said.close()
    if os.waitstatus_to_exitcode(status):
        sys.exit((folder / f"{name}.log").read_text() + f"\n{name} failed: see bench/requirements-drift.txt")
    return wall, usage.ru_utime + usage.ru_stime, float((folder / PEAK).read_text())


def peak_mib() -> float:
    """Return the most memory that this process held since its program began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def compare(options: argparse.Namespace) -> int:
    """Take turns; print medians and ratios."""
    # The peers' environments have pyarrow, which ours needs not.
    peers = {"evidently": options.evidently_python, "nannyml": options.nannyml_python}
    peers["scipy"] = options.evidently_python or options.nannyml_python
    pythons = {"ours": sys.executable} | {name: python for name, python in peers.items() if python}
    names = [name for name in CONTESTANTS if name in pythons and (not options.only or name in options.only)]
    found: dict[str, list[Run]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder, options.rows, options.columns)
        print(f"{options.rows:,} rows on each side, {options.columns} columns, medians of {options.rounds} rounds")
        for number in range(-1, options.rounds):
            turn = max(number, 0) % len(names)
            for name in names[turn:] + names[:turn]:
                run = measure(pythons[name], name, folder)
                if number >= 0:
                    found[name].append(run)
    print(f"{'':12}{'wall s':>8}{'CPU s':>8}{'peak MiB':>10}{'wall x':>9}{'CPU x':>8}{'peak x':>8}   (x: ours / this)")
    for name, runs in found.items():
        middle = "".join(
            f"{statistics.median(run[at] for run in runs):{width}}"
            for at, width in ((0, "8.2f"), (1, "8.2f"), (2, "10.0f"))
        )
        pairs = list(zip(found.get("ours", runs), runs, strict=True))
        ratios = [statistics.median(mine[at] / this[at] for mine, this in pairs) for at in range(3)]
        print(f"{name:12}{middle}{ratios[0]:9.2f}{ratios[1]:8.2f}{ratios[2]:8.2f}")
    return 0


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), help="run these only")
    parser.add_argument("--evidently-python", help="the Python that has Evidently")
    parser.add_argument("--nannyml-python", help="the Python that has NannyML")
    parser.add_argument("--run", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.run:
        return compare(options)
    CONTESTANTS[options.run](options.folder / "reference.parquet", options.folder / "current.parquet")
    (options.folder / PEAK).write_text(str(peak_mib()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
