"""What the page of ``lpmjax explore`` shows, and what its server refuses: without a browser."""

import http.client
import io
import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import closing, redirect_stdout
from pathlib import Path

import jax
import numpy as np
import pytest
from command_line import COUNTS, heed_ctrl_c

import lpmjax as lpm
from lpmjax.explore import diagnosis, server
from lpmjax.explore.diagram import diagram
from lpmjax.explore.drawn import Drawn, _harmonic
from lpmjax.explore.picture import merged_under_decay, picture
from lpmjax.explore.point import MODELS, Point
from lpmjax.plot.frames import vectors
from lpmjax.plot.geometry import _principal

BUDGETS = {"K_A": 4, "K_B": 3, "R": 10, "E_W": 1, "E_H": 5}
DECAYS = {"K_A": 4, "K_B": 3, "R": 8, "lambda_W": 1e-2, "lambda_H": 2e-3, "n_B": 3}
PAGE = Path(server.__file__).parent / "page"


def point(model="budgets", **changed):
    return Point(model, (BUDGETS if model == "budgets" else DECAYS) | changed)


@pytest.mark.parametrize(
    "asked",
    [point(), point(R=20), point(E_H=0.3), point("decays"), point("decays", R=300), point(K_A=1, K_B=4)],
    ids=["separated", "merged", "annihilated", "decays", "decays, merged", "one class"],
)
def test_what_is_drawn_are_the_factors_of_the_optimum(asked):
    """Against the singular value decomposition of K x K logits, which knows nothing of groups."""
    solution = lpm.solve(asked.problem())
    W, H = vectors(solution)
    drawn = Drawn(solution)
    for got, wanted in zip(drawn.grams(), (W @ W.T, H @ H.T), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-12)
    directions = drawn.directions()
    scaled = H * np.linalg.norm(W) / np.linalg.norm(H)
    assert drawn.frame(directions[:3])["share"] == pytest.approx(_principal(np.concatenate([W, scaled]))[1], abs=1e-12)
    # All directions together are the whole optimum; there are up to three in a group, and no group here has more.
    w, h = (np.stack([getattr(d, side) for d in directions], axis=1) for side in ("w", "h"))
    np.testing.assert_allclose(w @ h.T, W @ H.T, atol=1e-12)
    assert len(directions) == int(solution.rank)
    cosines = drawn.cosines()
    length = np.sqrt(np.sum(W * W, axis=1))
    known = length[:, None] * length > 1e-12
    np.testing.assert_allclose(cosines[known], (W @ W.T)[known] / (length[:, None] * length)[known], atol=1e-9)
    assert np.isnan(cosines[~known]).all()


@pytest.mark.parametrize("K", [2, 3, 4, 7, 10])
def test_harmonics_are_an_orthonormal_basis(K):
    basis = np.stack([_harmonic(np.arange(K), K, j) for j in range(K - 1)])
    np.testing.assert_allclose(basis @ basis.T, np.eye(K - 1), atol=1e-14)
    np.testing.assert_allclose(basis.sum(1), 0, atol=1e-13)


def test_a_million_classes_are_drawn_by_a_few_and_it_is_said():
    found = picture(point(K_A=10**6, K_B=10**6 + 1))
    assert found["status"] == "certified"
    assert len(found["classes"]["name"]) == len(found["matrices"]["classifiers"]) == 24
    assert "12 of the 1000000 classes of A" in found["classes"]["note"] and "of B" in found["classes"]["note"]
    own = np.diag(found["matrices"]["classifiers"])
    np.testing.assert_allclose(own, np.repeat(found["groups"]["w_norm2"], 12), rtol=1e-12, atol=1e-12)
    assert picture(point())["classes"]["note"] == ""


def test_a_picture_says_what_the_library_says():
    found = picture(point(R=1000, E_H=0.3))
    solution = lpm.solve(point(R=1000, E_H=0.3).problem())
    assert (found["phase"], found["status"], found["rank"]) == ("annihilated", "certified", int(solution.rank))
    assert found["value"] == solution.value and found["tol"] == solution.tol
    assert np.isnan(found["groups"]["cosine"][1]) and np.isnan(found["cosine_AB"])  # undefined, never a number
    assert np.isnan(found["matrices"]["cosines"][-1, -1])
    assert found["boundaries"] == {
        "R0": lpm.boundary.merged(4, 3, 0.3**0.5),
        "R1": lpm.boundary.annihilated(4, 3, 0.3**0.5),
    }
    json.dumps(server.plain(found), allow_nan=False)


def test_an_optimum_that_is_not_certified_is_not_hidden(monkeypatch):
    from lpmjax.explore import picture as module

    monkeypatch.setattr(module, "solve", lambda problem: lpm.solve(problem, tol=1e-20))
    found = module.picture(point())
    assert found["status"] == "stalled" and "raise tol" in found["message"]
    assert "frames" not in found


@pytest.mark.parametrize("model", MODELS)
def test_the_python_that_is_copied_solves_the_same(model):
    asked, printed = Point.first(model), io.StringIO()
    with redirect_stdout(printed):
        exec(picture(asked)["python"], {})
    assert printed.getvalue() == f"{lpm.solve(asked.problem())}\n"


@pytest.mark.slow
def test_the_diagram_agrees_with_solves_and_its_curves_part_the_phases():
    for asked in (point(), point("decays")):
        found = diagram(asked)
        x, y = (found[axis]["range"] for axis in "xy")
        rows, columns = len(found["cells"]), len(found["cells"][0])
        for i, j in ((5, 10), (20, 50), (40, 70), (60, 90), (60, 5)):
            across = x[0] * (x[1] / x[0]) ** ((j + 0.5) / columns)
            R = y[0] * (y[1] / y[0]) ** ((i + 0.5) / rows)
            pair = dict.fromkeys(("E_W", "E_H") if asked.model == "budgets" else ("lambda_W", "lambda_H"), across)
            solved = lpm.solve(Point(asked.model, asked.numbers | pair | {"R": R}).problem())
            assert found["cells"][i][j] == str(int(solved.phase))
        assert found["uncertified"] == 0 and found["phases"] == [phase.name for phase in lpm.Phase]
        assert {curve["name"] for curve in found["curves"]} == ({"R0", "R1"} if asked.model == "budgets" else {"R0"})


def test_the_boundary_under_decay_is_where_slack_changes_sign():
    R = float(merged_under_decay(4.0, 3.0, np.sqrt(2e-5), 3.0))
    below, above = (lpm.solve(point("decays", R=R * (1 + by)).problem()) for by in (-1e-6, 1e-6))
    assert below.slack[1] > 0 > above.slack[1]
    assert merged_under_decay(4.0, 1.0, 1e-3, 1.0) == np.inf


def test_requests_that_are_no_point():
    text = {name: str(value) for name, value in BUDGETS.items()}
    assert Point.of(text) == point()
    for changed, message in (
        ({"model": "deep"}, "model = 'deep' is unknown: use one of budgets, decays"),
        ({"n_B": "3"}, "n_B is unknown to the model budgets"),
        ({"R": ""}, "R = '' is not a number"),
        ({"K_A": "2.5"}, "K_A = 2.5 is out of range: K_A must be a whole number"),
        ({"R": "nan"}, "R = nan is out of range"),
        ({"K_B": "0"}, "K_B = 0 is out of range"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            Point.of(text | changed).problem()


@pytest.fixture(scope="module")
def served():
    """A server that has compiled nothing."""
    found = server.Server(0)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


def ask(served, method="GET", path="/", body=None, **headers):
    """Status, headers and body of an answer; ``Host`` is that of the server unless it is given."""
    with closing(http.client.HTTPConnection(*served.server_address, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None and "Content_Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_it_listens_on_this_machine_alone(served):
    assert served.server_address[0] == "127.0.0.1" and served.socket.family == socket.AF_INET
    with pytest.raises(OSError, match=r"cannot listen on port \d+: .*choose another --port"):
        server.Server(served.server_address[1])
    with pytest.raises(OSError, match="cannot listen on port 70000"):
        server.Server(70000)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8265", "127.0.0.1.evil.example", "", "[::1]", "10.0.0.7"]
)
def test_a_foreign_host_is_refused(served, host):
    for method, path in (("GET", "/"), ("GET", "/api/picture"), ("POST", "/api/diagnosis")):
        status, _, body = ask(served, method, path, body=b"", Host=host)
        assert status == 403 and b"is not this machine" in body


def test_a_foreign_origin_is_refused(served):
    port = served.server_address[1]
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:3000"):
        for method, path in (("GET", "/api/picture"), ("POST", "/api/diagnosis")):
            status, _, body = ask(served, method, path, body=b"a,1\nb,2\n", Origin=origin)
            assert status == 403 and b"is another site" in body
    assert ask(served, path="/api/picture", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(served, Sec_Fetch_Site="cross-site")[0] == 200  # a link to the page
    own = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
    assert ask(served, path="/main.js", Sec_Fetch_Site="same-origin", **own)[0] == 200


def test_methods_paths_and_sizes_that_are_refused(served):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        assert ask(served, method)[0] == 405
    for path in ("/../point.py", "/page/main.js", "/server.py", "/%2e%2e/point.py", "/api/secrets"):
        assert ask(served, path=path)[0] == 404
    assert ask(served, "POST", "/")[0] == 404
    assert ask(served, "POST", "/api/diagnosis")[0] == 411
    assert ask(served, "POST", "/api/diagnosis", Content_Length="-1")[0] == 411
    status, _, body = ask(served, "POST", "/api/diagnosis", Content_Length=str(server.MOST_BYTES + 1))
    assert status == 413 and b"lpmjax diagnose FILE" in body
    assert f'data-most-bytes="{server.MOST_BYTES}"' in (PAGE / "index.html").read_text()


def test_the_page_comes_from_this_machine_alone(served):
    status, headers, body = ask(served)
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for file in PAGE.iterdir():
        path = "/" if file.name == "index.html" else f"/{file.name}"
        assert ask(served, path=path)[2] == file.read_bytes()
        assert not re.search(r"(https?:)?//[\w-]+\.\w", file.read_text())
    ids = set(re.findall(r'id="([\w-]+)"', body.decode()))
    scripts = "".join(file.read_text() for file in PAGE.glob("*.js"))
    assert set(re.findall(r'\bat\("([\w-]+)"\)', scripts)) <= ids


def test_answers_and_errors_in_json(served):
    query = "&".join(f"{name}={value}" for name, value in BUDGETS.items())
    status, _, body = ask(served, path=f"/api/picture?model=budgets&{query}")
    assert (status, json.loads(body)["phase"]) == (200, "separated")
    # 200, for browsers report any other status as an error of the page.
    status, _, body = ask(served, path=f"/api/picture?{query.replace('R=10', 'R=-1')}")
    assert status == 200 and json.loads(body)["error"].startswith("R = -1 is out of range: R must be from")
    refused = ((b"cat,3\ndog,-1\n", "c.csv, line 2: count = '-1'"), (b"\x00\xff", "not text"), (b"", "empty"))
    for content, said in refused:
        status, _, body = ask(served, "POST", "/api/diagnosis?file=c.csv&E_W=1&E_H=5", body=content)
        assert status == 200 and said in json.loads(body)["error"]
    _, _, body = ask(served, "POST", "/api/diagnosis?file=c.csv&E_W=many", body=b"a,1\nb,2\n")
    assert json.loads(body)["error"].startswith("E_W = 'many' is not a number")
    taken = [served.diagnoses.acquire(blocking=False) for _ in range(2)]
    _, _, body = ask(served, "POST", "/api/diagnosis?file=c.csv&reading=counts", body=b"a,1\nb,2\n")
    assert all(taken) and "2 diagnoses are running" in json.loads(body)["error"]
    for _ in taken:
        served.diagnoses.release()


@pytest.mark.slow
def test_a_diagnosis_as_it_comes(served):
    _, _, body = ask(served, "POST", "/api/diagnosis?file=counts.csv&E_W=1&E_H=5", body=COUNTS.read_bytes())
    told = [json.loads(line) for line in body.splitlines()]
    assert told[0]["event"] == "read" and told[0]["reading"] == "class,count rows under the header 'class,count'"
    found = [event for event in told if event["event"] == "diagnosis"]
    alone = lpm.diagnose(COUNTS, E_W=1.0, E_H=5.0)
    assert [len(event["record"]["remedies"]) for event in found] == [0, 1, 2]
    assert found[0]["record"] == alone.record() | {"remedies": []}
    assert found[2]["record"]["remedies"] == alone.record()["remedies"]
    assert told[-1]["event"] == "end" and told[-1]["last"] and told[-2] == found[2]
    assert {"starting", "the model", "remedies"} <= {event.get("doing") for event in told}
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(told[0]["python"].replace("counts.csv", str(COUNTS)), {})
    assert printed.getvalue() == f"{alone}\n"


@pytest.mark.slow
def test_a_diagnosis_is_cancelled_by_whoever_hangs_up_and_one_that_fails_says_so():
    from lpmjax.counts.files import read

    told = diagnosis.events(read(COUNTS), {"E_W": 1.0, "E_H": 5.0})
    assert next(told)["doing"] == "starting"
    (worker,) = diagnosis.multiprocessing.active_children()
    told.close()
    assert not worker.is_alive()
    *_, last = diagnosis.events(read(COUNTS), {"E_W": -1.0, "E_H": 5.0})
    assert last["event"] == "error" and last["message"].startswith("E_W = -1 is out of range")


@pytest.mark.slow
def test_the_command_ends_with_ctrl_c():
    command = [sys.executable, "-m", "lpmjax", "explore", "--port", "0", "--no-browser", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, preexec_fn=heed_ctrl_c) as started:
        try:
            lines = [started.stdout.readline() for _ in range(3)]
            assert json.loads("".join(lines))["url"].startswith("http://127.0.0.1:")
            started.send_signal(subprocess.signal.SIGINT)
            out, err = started.communicate(timeout=30)
        finally:
            started.kill()  # else a failed test waits for it
    assert (started.returncode, out, err) == (130, "", "")


def test_float32_is_not_shown():
    with jax.enable_x64(False):
        assert picture(point())["status"] == "certified"
