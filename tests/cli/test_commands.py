"""The command line on a small project, with real processes: one run, then everything that one does with its state."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from tests.cli.project import command, environment, mlops, processes_of, rows, write

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Done:
    """A project that was run to its end."""

    folder: Path
    state: Path
    output: str

    def mlops(self, *words: str | Path) -> str:
        """Return what a command on the state says."""
        ended = mlops(*words, "--state", self.state)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    place = tmp_path_factory.mktemp("tiny")
    folder = write(place / "project", replay=True)
    ended = mlops("run", "-f", folder, "--state", place / "state")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Done(folder, place / "state", ended.stdout)


@pytest.fixture
def copied(done: Done, tmp_path: Path) -> Done:
    """The same state, to change."""
    shutil.copytree(done.state, tmp_path / "state")
    return Done(done.folder, tmp_path / "state", done.output)


def the(done: Done, kind: str, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(done.mlops("get", kind, name, "-o", "json"))
    return found


def test_a_run_into_a_pipe_says_each_step_and_a_summary(done: Done) -> None:
    """A line per change, no control characters, and at the end versions, verdicts and where to look."""
    assert "\x1b" not in done.output
    assert re.search(r"dset/tiny +Ready=True +Versioned +version 1, 300 rows", done.output)
    assert re.search(r"mver/tiny-v1 +Ready=True +Serving", done.output)
    assert re.search(r"^tiny-v1 +production +tiny v1 .* accuracy 0\.\d+ .*onnx +run$", done.output, re.MULTILINE)
    assert "Monitor tiny: 3 checks" in done.output
    assert f"--state {done.state}" in done.output
    assert processes_of(done.state) == []


def test_a_second_run_does_nothing_again(done: Done) -> None:
    """Nothing is made, nothing is sent, and no pod runs but the server."""
    before = done.mlops("get", "all", "-o", "json")
    logs = sorted((done.state / "logs").rglob("*.log"))
    ended = mlops("run", "-f", done.folder, "--state", done.state)
    assert ended.returncode == 0
    assert "Dataset tiny unchanged" in ended.stdout
    after = json.loads(done.mlops("get", "all", "-o", "json"))
    assert [m["spec"] for m in after["items"]] == [m["spec"] for m in json.loads(before)["items"]]
    new = set((done.state / "logs").rglob("*.log")) - set(logs)
    assert {file.name for file in new} == {"server.log"}, "only the server was started again"


def test_after_the_replay_nothing_is_planned(done: Done) -> None:
    """Checks, challengers and labels are all over; the version that they left live is served again."""
    text = done.mlops("plan", "-f", done.folder)
    assert re.search(r"^dmon/tiny +keep ", text, re.MULTILINE)
    assert re.search(r"^mver/tiny-v1 +serve +live in production$", text, re.MULTILINE)
    assert text.endswith("nothing to do: all of this is there\n")


@pytest.mark.parametrize(
    ("output", "want"),
    [
        pytest.param("table", r"^NAME +VERSION +ROWS +READY +REASON +AGE\ntiny +1 +300 +True", id="table"),
        pytest.param("wide", r"^NAME +VERSION.*DIGEST +MESSAGE.*\ntiny +1 .*sha256:[0-9a-f]{12} ", id="wide"),
        pytest.param("name", r"^dataset.mlops.dev/tiny$", id="name"),
    ],
)
def test_objects_are_listed_as_kubectl_lists_them(done: Done, output: str, want: str) -> None:
    """-o table, wide and name."""
    assert re.search(want, done.mlops("get", "dset", "-o", output))


def test_json_and_yaml_say_the_same(done: Done) -> None:
    """One object, or a List of several."""
    one = the(done, "dset", "tiny")
    assert one["status"]["rows"] == 300
    assert yaml.safe_load(done.mlops("get", "dset", "tiny", "-o", "yaml")) == one
    listed = json.loads(done.mlops("get", "dset,trun,mver,dmon", "-o", "json"))
    assert [item["kind"] for item in listed["items"]] == ["Dataset", "TrainingRun", "ModelVersion", "DriftMonitor"]


def test_what_get_writes_run_takes(copied: Done, tmp_path: Path) -> None:
    """A backup is a manifest."""
    (tmp_path / "all.yaml").write_text(copied.mlops("get", "dset,trun", "-o", "yaml"))
    ended = mlops("run", "-f", tmp_path / "all.yaml", "--no-replay", "--state", copied.state)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_describe_shows_spec_conditions_and_events(done: Done) -> None:
    """All about one object."""
    text = done.mlops("describe", "trun", "tiny")
    assert "name: LogisticRegression" in text
    assert re.search(r"^Ready +True +Succeeded", text, re.MULTILINE)
    assert "EVENT" in text


def test_lineage_leads_from_a_version_to_its_data(done: Done) -> None:
    """And says which version was live at a timestamp."""
    data = the(done, "dset", "tiny")["status"]["digest"]
    text = done.mlops("lineage", "tiny")
    assert re.search(rf"dataset digest +{data}\n", text)
    assert re.search(r"run +tiny\n", text)
    assert "no version was live at 2001-01-01" in done.mlops("lineage", "tiny", "--at", "2001-01-01")
    assert re.search(r"^production +tiny-v1 ", done.mlops("lineage", "tiny", "--at", "2100-01-01"), re.MULTILINE)


def test_the_inputs_digest_can_be_known_before_the_run(done: Done, tmp_path: Path) -> None:
    """Offline, from the manifests and the Dataset's digest, without a state."""
    status = the(done, "trun", "tiny")["status"]
    assert str(status["inputsDigest"]) in done.mlops("digest", "-f", done.folder)
    data = the(done, "dset", "tiny")["status"]["digest"]
    elsewhere = mlops("digest", "-f", done.folder, "--dataset-digest", f"tiny={data}", "--state", tmp_path / "none")
    assert str(status["inputsDigest"]) in elsewhere.stdout
    unknown = mlops("digest", "-f", done.folder, "--state", tmp_path / "none")
    assert unknown.returncode == 2
    assert "give --dataset-digest tiny=sha256:" in unknown.stderr


def test_logs_and_reports_are_found(done: Done) -> None:
    """What pods wrote, and the page of the newest check."""
    assert "accuracy" in done.mlops("logs", "trun", "tiny")
    assert "tiny version 1 is ready" in done.mlops("logs", "mver", "tiny-v1")
    page = Path(done.mlops("report", "tiny").strip())
    assert page.parent == done.state / "reports" / "tiny"
    assert page.name == "latest.html"
    dated = sorted(one.name for one in page.parent.glob("2*.html"))
    assert dated[-1].startswith(("2021-01-01", "2020-12"))
    assert b"<html" in page.read_bytes()


def test_delete_takes_along_what_is_owned(copied: Done) -> None:
    """The model stays when its run goes; the monitor's schedule goes with the monitor."""
    assert copied.mlops("delete", "dmon", "tiny") == "driftmonitor.mlops.dev/tiny deleted\n"
    assert copied.mlops("delete", "trun", "tiny") == "trainingrun.mlops.dev/tiny deleted\n"
    assert copied.mlops("get", "all", "-o", "name").split() == [
        "dataset.mlops.dev/tiny",
        "modelversion.mlops.dev/tiny-v1",
    ]
    again = mlops("delete", "trun", "tiny", "--state", copied.state)
    assert again.returncode == 2
    assert "TrainingRun not found: tiny; nothing was deleted" in again.stderr


def test_a_retry_is_asked_for_here_and_said_for_a_cluster(copied: Done) -> None:
    """The annotation is the same; the next run of mlops acts on it, once."""
    said = copied.mlops("retry", "dmon", "tiny")
    asked = re.search(r"kubectl annotate driftmonitors.mlops.dev tiny -n default --overwrite (\S+)=(\S+)\n", said)
    assert asked is not None, said
    assert "driftmonitor.mlops.dev/tiny is tried again by the next mlops run" in said
    assert the(copied, "dmon", "tiny")["metadata"]["annotations"] == {asked[1]: asked[2]}
    again = mlops("retry", "trun", "nobody", "--state", copied.state)
    assert again.returncode == 2
    assert "TrainingRun not found: nobody; nothing was asked for" in again.stderr


def test_a_report_is_read_from_a_store_by_its_digest(done: Done, tmp_path: Path) -> None:
    """As whoever watches a cluster with kubectl does: status.report names it."""
    digest = str(the(done, "dmon", "tiny")["status"]["report"])
    store = (done.state / "store").as_uri()
    ended = mlops("report", digest, "--store", store, "--to", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    page = Path(ended.stdout.strip())
    assert b"<html" in page.read_bytes()
    assert json.loads(page.with_suffix(".json").read_text())["monitor"]
    wrong = mlops("report", "tiny", "--store", store)
    assert (wrong.returncode, "is no digest" in wrong.stderr) == (2, True)


@dataclass
class Running:
    """`mlops run` under way."""

    process: subprocess.Popen[bytes]
    output: Path

    def wait_for(self, pattern: str, seconds: float = 90) -> re.Match[str]:
        """Return the match of `pattern` in the output as soon as it is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output.read_text()):
                return found
            assert self.process.poll() is None, self.output.read_text()
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} did not come in {seconds} s:\n{self.output.read_text()}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    started: list[Running] = []

    def begin(*words: str | Path) -> Running:
        output = tmp_path / f"output{len(started)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command("run", *words), stdout=file, stderr=file, env=environment(), start_new_session=True
            )
        started.append(Running(process, output))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(30)


def test_requests_are_replayed_against_a_kept_server(copied: Done, tmp_path: Path, start: object) -> None:
    """--keep-serving leaves the server up; the state can be looked at, and is nobody else's meanwhile."""
    rows(20, start=600).write_csv(tmp_path / "more.csv")
    running = start("-f", copied.folder, "--keep-serving", "--state", copied.state)  # type: ignore[operator]
    said = running.wait_for(r"serving tiny-production at (http://\S+) and over gRPC at (127\.0\.0\.1:\d+)")
    url = said[1]
    with grpc.insecure_channel(said[2]) as channel:
        ready = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")(b"\x0a\x04tiny", timeout=20)
    assert ready == b"\x08\x01", "the model is ready, in the protocol's own bytes"
    words = ("--url", url, "--model", "tiny", "--id", "id", "--time", "at", "--label", "y")
    sent = mlops("replay", tmp_path / "more.csv", *words)
    assert sent.returncode == 0, sent.stderr
    captured = [
        file for file in (copied.state / "store" / "objects" / "captures").rglob("*.parquet") if "2021-08" in str(file)
    ]
    assert captured, "what was sent is on record"
    other = mlops("replay", tmp_path / "more.csv", *(w if w != "tiny" else "other" for w in words))
    assert other.returncode == 2
    assert "404" in other.stderr
    second = mlops("run", "-f", copied.folder, "--state", copied.state)
    assert second.returncode == 2
    assert f"is in use by process {running.process.pid}: wait for it, stop it (Ctrl-C)" in second.stderr
    assert "tiny" in copied.mlops("get", "all")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(20) == 130
    assert processes_of(copied.state) == []


@pytest.mark.parametrize(
    ("number", "code", "timestamp"),
    [
        pytest.param(signal.SIGINT, 130, "Ingesting", id="Ctrl-C while data is read"),
        pytest.param(signal.SIGTERM, 143, "Running", id="SIGTERM while a model is trained"),
        pytest.param(signal.SIGINT, 130, "0 of 1 pods ready", id="Ctrl-C while a server starts"),
    ],
)
def test_a_signal_stops_everything_and_the_next_run_goes_on(
    done: Done, tmp_path: Path, start: object, number: int, code: int, timestamp: str
) -> None:
    """At any timestamp; a second Ctrl-C changes nothing; the digests are those of the undisturbed run."""
    state = tmp_path / "state"
    running = start("-f", done.folder, "--no-replay", "--state", state)  # type: ignore[operator]
    running.wait_for(timestamp)
    running.process.send_signal(number)
    time.sleep(0.05)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(20) == code
    said = running.output.read_text()
    assert "stopped; the same command goes on from here" in said
    assert "Traceback" not in said
    assert processes_of(state) == []
    again = mlops("run", "-f", done.folder, "--no-replay", "--state", state)
    assert again.returncode == 0, again.stdout + again.stderr
    mine = Done(done.folder, state, again.stdout)
    for field in ("inputsDigest", "outputDigest"):
        assert the(mine, "trun", "tiny")["status"][field] == the(done, "trun", "tiny")["status"][field]


def test_a_terminal_gets_a_live_table(done: Done, tmp_path: Path) -> None:
    """On a terminal the table redraws itself; at the end the summary stays."""
    words = " ".join(command("run", "-f", done.folder, "--no-replay", "--state", tmp_path / "state"))
    shown = subprocess.run(
        ["script", "--quiet", "--return", "--command", words, "/dev/null"],
        capture_output=True,
        env=environment() | {"TERM": "xterm", "COLUMNS": "120"},
        timeout=120,
        check=True,
    ).stdout.decode()
    assert "\x1b[" in shown
    assert re.search(r"KIND.*NAME.*READY.*REASON", shown)
    assert "tiny-v1" in shown.rpartition("VERSION")[2]


def test_a_clock_of_its_own_time_needs_no_scenario(tmp_path: Path) -> None:
    """Without a replay the clock is the machine's; what is scheduled for later is not waited for."""
    folder = write(tmp_path / "project", replay=True)
    (folder / "scenario.toml").unlink()
    state = tmp_path / "state"
    put = mlops("put", folder / "rows.parquet", "s3://raw/tiny/", "--state", state)
    assert put.returncode == 0, put.stderr
    ended = mlops("run", "-f", folder, "--state", state)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search(r"dmon/tiny +Ready=True +WaitingForFirstCheck", ended.stdout)


def test_a_reader_that_goes_ends_the_run(done: Done, tmp_path: Path) -> None:
    """`mlops run | head -1`: everything is stopped, as with any program in a pipe."""
    state = tmp_path / "state"
    words = " ".join(command("run", "-f", done.folder, "--no-replay", "--state", state))
    shell = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert (shell.returncode, shell.stderr) == (141, b"")
    assert processes_of(state) == []


# --- the reports of drift checks, in the browser ---


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose browser writes down what it is to show."""
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/shown\n')
    program.chmod(0o700)
    return {**environment(), "BROWSER": f"{program} %s"}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="the only monitor"),
        pytest.param(("tiny",), id="its name"),
        pytest.param(("dmon/tiny",), id="kind and name"),
        pytest.param(("mver/tiny-v1",), id="the version that it watches"),
    ],
)
def test_the_newest_report_is_shown_in_the_browser(
    done: Done, browser: dict[str, str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    """And its path is printed, with --print only that."""
    newest = done.mlops("report", "tiny").strip()
    assert done.mlops("open", *words, "--print") == f"{newest}\n"
    ended = subprocess.run(
        command("open", *words, "--state", done.state), capture_output=True, text=True, env=browser, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, f"{newest}\n"), ended.stderr
    deadline = time.monotonic() + 10
    while not (tmp_path / "shown").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "shown").read_text() == f"{Path(newest).resolve().as_uri()}\n"


def test_without_a_browser_the_path_is_all(done: Done) -> None:
    """No browser for terminals takes over the terminal."""
    without = {name: value for name, value in environment().items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    ended = subprocess.run(
        command("open", "--state", done.state), capture_output=True, text=True, env=without, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (0, done.mlops("report", "tiny"))
    assert "there is no browser here" in ended.stderr


@pytest.mark.parametrize(
    ("word", "said"),
    [
        pytest.param("dset/tiny", "reports are of drift monitors (dmon/NAME)", id="kind"),
        pytest.param("other", "DriftMonitor 'other' not found", id="name"),
        pytest.param("mver/other", "ModelVersion 'other' not found", id="version"),
        pytest.param("thing/tiny", "'thing' is no kind", id="no kind"),
    ],
)
def test_what_has_no_report_is_told(done: Done, word: str, said: str) -> None:
    ended = mlops("open", word, "--state", done.state)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_the_newest_report_is_a_page_with_all_checks_and_a_text_with_the_verdict_first(done: Done) -> None:
    """The page is one file without script; the text says what the monitor does, and what was done."""
    page = Path(done.mlops("report", "tiny").strip()).read_text()
    monitor = the(done, "dmon", "tiny")
    checks: Any = monitor["status"]["history"]
    assert page.count('-mark" x=') == len(checks) > 1
    assert "All checks" in page
    assert page.count("<script") == 1
    text = done.mlops("report", "tiny", "--text")
    assert text.split()[0] == monitor["status"]["verdict"]
    assert "The monitor: Nothing: no action of the monitor names this verdict." in " ".join(text.split())
    assert json.loads(done.mlops("report", "tiny", "--json"))["verdict"] == monitor["status"]["verdict"]
    ended = mlops("report", "sha256:" + "0" * 64, "--text", "--store", "s3://artifacts/")
    assert (ended.returncode, "--text: not with --store" in ended.stderr) == (2, True)


# --- help ---


def test_help_lists_every_command_in_a_group_with_a_whole_line() -> None:
    """Nothing is cut, and every command shows at least one example of its own."""
    from mlops.cli.groups import SECTIONS
    from mlops.cli.main import cli

    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)
    shown = mlops("--help").stdout
    for title, names in SECTIONS.items():
        assert f"\n{title}:\n" in shown
        for name in names:
            assert re.search(rf"^  {name} +\S.*[.:]$", shown, re.MULTILINE), name
    for name, one in cli.commands.items():
        assert one.epilog is not None
        assert re.search(rf"^  .*mlops {name}\b", one.epilog, re.MULTILINE), name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    """By what click brings: the script that docs/local.md says, and the words of a command line."""
    script = subprocess.run(
        [sys.executable, "-c", "from mlops.cli.main import cli; cli(prog_name='mlops')"],
        capture_output=True,
        text=True,
        env={**environment(), "_MLOPS_COMPLETE": f"{shell}_source"},
        timeout=60,
    )
    assert f"{shell}_complete" in script.stdout, script.stderr
