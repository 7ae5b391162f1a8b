"""The command as a process: Ctrl-C, full disks, and what one leaves for the next."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import COUNTS, heed_ctrl_c

ENDLESS_REMEDIES = """
import os, signal, time
from lpmjax import cli, diagnose
def one_by_one(self, progress):
    if {announced}:
        progress(2, "verifying the weights")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(100)
    yield self
import lpmjax
lpmjax.Diagnosis.one_by_one = one_by_one
cli.main()
"""


def interrupted_in_remedies(folder, *options, announced):
    command = [sys.executable, "-c", ENDLESS_REMEDIES.format(announced=announced), "diagnose", str(COUNTS), *options]
    command += ["--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, preexec_fn=heed_ctrl_c)
    assert done.returncode == 130
    assert list(folder.iterdir()) == []
    return done


def test_ctrl_c_prints_what_is_known(tmp_path):
    done = interrupted_in_remedies(tmp_path / "a", announced=True)
    assert done.stderr == "lpmjax: interrupted; problems done: 3, next: verifying the weights\n"
    assert "merged, rank 2 of 3" in done.stdout and "Remedy" not in done.stdout


def test_ctrl_c_before_a_remedy_announces_a_solve(tmp_path):
    done = interrupted_in_remedies(tmp_path / "a", "--json", announced=False)
    assert done.stderr == "lpmjax: interrupted; problems done: 1, next: remedies\n"
    assert (json.loads(done.stdout)["num_collapsed"], json.loads(done.stdout)["remedies"]) == (2, [])


def test_ctrl_c_is_quiet_while_the_command_is_imported(tmp_path):
    (tmp_path / "jax.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(100)\n")
    command = [sys.executable, "-c", "import lpmjax_command; lpmjax_command.main()", "solve"]
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    variables = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=90, preexec_fn=heed_ctrl_c)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def cpu_seconds(process):
    """Of a process that has not been waited for: unlike the clock's, they do not depend on what else is running."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell a process's time")
def test_ctrl_c_at_any_moment_exits_with_130(tmp_path):
    """Compilations are running at most of these moments: nothing may wait for them, nor crash under them."""
    counts = tmp_path / "counts.csv"
    counts.write_text("class,count\n" + "".join(f"{k},{int(5000 * 0.01 ** (k / 99)) + k}\n" for k in range(100)))
    script = "import lpmjax_command; lpmjax_command.main()"
    command = [sys.executable, "-c", script, "diagnose", str(counts), "--lambda-W", "5e-4", "--lambda-H", "5e-4"]
    draw = random.Random(0)
    for run in range(20):
        variables = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / str(run))}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=variables, **pipes, text=True, preexec_fn=heed_ctrl_c)
        time.sleep(draw.uniform(1, 12))
        if process.poll() is None:
            before = cpu_seconds(process)
            process.send_signal(signal.SIGINT)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert cpu_seconds(process) - before < 2
        out, err = process.communicate(timeout=60)
        finished = process.returncode == 0  # also where the signal met a process that had printed all
        # Python lets go of the signal before it ends: who dies of it then is 130 to a shell, too.
        assert (finished and "collapsed" in out) or process.returncode in (130, -signal.SIGINT), err
        assert process.returncode != -signal.SIGINT or err == ""
        assert finished or ("interrupted; problems done" in err or err == "")
        assert ("collapsed" in out) == (finished or "done: 0" not in err) or err == ""


def test_standard_output_on_a_full_disk():
    command = [sys.executable, "-m", "lpmjax", "boundary"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr and len(done.stderr) < 120


@pytest.mark.slow
def test_a_second_command_finds_the_compilations_of_the_first(tmp_path):
    def kept(home):
        command = [sys.executable, "-m", "lpmjax.cli", "boundary", "--json"]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
        variables["XDG_CACHE_HOME"] = str(home)
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout, {file.name: file.stat().st_mtime_ns for file in home.glob("lpmjax/*-cache")}

    first, files = kept(tmp_path)
    assert files
    assert kept(tmp_path) == (first, files)
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file")[0] == first  # no folder can be made there
