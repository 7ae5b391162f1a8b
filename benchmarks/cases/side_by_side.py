"""lpmjax and its peers on the same instances to the same certified gap, one after another in one process."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..instances import Instance, long_tail, relative_gap, two_group
from ..peers import Peer, all_peers
from ..rows import Row, judge_gaps, missing, row
from ..settings import Settings
from ..timing import HostPeak, Measured, memory, time_calls

_GAP = {"float64": 1e-8, "float32": 1e-3}
#: solvers whose vmapped form says enough where time is short
_ALSO_IN_BATCHES = ("optax L-BFGS", "optimistix L-BFGS")


def peers(settings: Settings) -> Iterator[Row]:
    """Two groups: every solver on every instance that it is made for."""
    lanes = settings.pick(2, 16, 64)
    for instance in map(two_group, settings.pick([4], [4], [4, 10, 20, 40])):
        for peer in all_peers().values():
            if settings.mode == "quick" and peer.name in _ALSO_IN_BATCHES:
                continue
            batch = [instance] if not peer.batch else _neighbours(instance, _lanes(peer, lanes, settings))
            yield compare(peer, batch, _GAP[settings.dtype], settings)


def tails(settings: Settings) -> Iterator[Row]:
    """All counts distinct, the largest first."""
    for instance in map(long_tail, settings.pick([], [10], [100, 1000, 10, 30])):
        for peer in all_peers().values():
            if not (peer.two_groups_only or peer.batch):
                yield compare(peer, [instance], _GAP[settings.dtype], settings)


def _lanes(peer: Peer, lanes: int, settings: Settings) -> int:
    return settings.pick(4, 512, 4096) if peer.two_groups_only else lanes


def _neighbours(instance: Instance, lanes: int) -> list[Instance]:
    """The same classes over a range of imbalance ratios and budgets."""
    ratios, budgets = np.geomspace(1.5, 100, lanes), np.linspace(0.5, 1.0, lanes)
    return [two_group(instance.K, float(R), instance.s * float(b)) for R, b in zip(ratios, budgets, strict=True)]


def compare(peer: Peer, instances: Sequence[Instance], gap: float, settings: Settings, case: str = "peers") -> Row:
    """The loosest setting of ``peer`` that certifies every instance, timed; or how close it came."""
    first = instances[0]
    limit = settings.peer_seconds * (4 if first.K >= 100 else 1)
    kind = "two groups" if first.two_group is not None else "long tail"
    instance = {"kind": kind, "K": first.K}
    if first.K > peer.most_classes:
        reason = f"K > {peer.most_classes}: {peer.why}"
        return missing(case, instance, peer.name, "skipped", reason, settings, gap)
    peak, begin = HostPeak(), None
    best: tuple[list[float], Any, Any] = ([np.inf] * len(instances), None, None)
    try:
        solve, logits = peer.prepare(instances, limit)
        for knob in peer.ladder:
            start = time.perf_counter()
            found = solve(knob)
            took = time.perf_counter() - start
            begin = begin or time.perf_counter()  # the first call may compile
            reached = [relative_gap(one, Z) for one, Z in zip(instances, logits(found), strict=True)]
            if best[1] is None or max(reached) < max(best[0]):
                best = (reached, knob, took)
            if max(reached) <= gap or time.perf_counter() - begin > 2 * limit:
                break
        knob = best[1]
        if max(best[0]) > gap:
            reason = f"gap {max(best[0]):.2g} at its best setting ({knob}), within {limit:.0f} s a solve"
            verdict = judge_gaps(best[0], gap)
            failed = missing(case, instance, peer.name, "failed", reason, settings, gap)
            return failed | verdict | {"failed": verdict["cells"] - verdict["certified"], "knob": knob}
        warm, found = time_calls(lambda: solve(knob), _shorter(settings, best[2]))
        gaps = [relative_gap(one, Z) for one, Z in zip(instances, logits(found), strict=True)]
    except ImportError:
        return missing(case, instance, peer.name, "not installed", "not installed", settings, gap)
    except Exception as error:  # a solver may raise anything; it is a result, not a reason to lose the others
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return missing(case, instance, peer.name, "failed", reason, settings, gap)
    seconds = {"lower": None, "compile": None, "first": best[2], "warm": warm}
    measured = Measured(seconds, memory(peak), None, None)
    return row(case, instance, judge_gaps(gaps, gap), measured, settings, peer.name, knob=knob)


def _shorter(settings: Settings, seconds: float) -> Settings:
    """Two warm runs where a solve is slow."""
    return Settings("tiny", settings.dtype) if seconds > settings.seconds / 2 else settings


def work_precision(settings: Settings) -> Iterator[Row]:
    """Seconds and the certified gap reached, along the ladder of every solver."""
    K = settings.pick(3, 10, 30)
    instance = long_tail(K)
    for peer in all_peers().values():
        if peer.batch or peer.two_groups_only or peer.most_classes < K:
            continue
        limit = settings.peer_seconds
        try:
            solve, logits = peer.prepare([instance], limit)
            spent, points = 0.0, []
            for knob in peer.precision_ladder or peer.ladder:
                found = solve(knob)  # compilation, where there is any, is not work
                samples, found = time_calls(partial(solve, knob), Settings("tiny", settings.dtype), found)
                reached = relative_gap(instance, logits(found)[0])
                points.append({"knob": knob, "samples": samples, "gap": reached})
                spent += sum(samples)
                if spent > limit:
                    break
        except ImportError:
            yield _point(peer, K, [], "not installed", settings)
            continue
        except Exception as error:
            yield _point(peer, K, [], f"{type(error).__name__}: {error}".splitlines()[0][:200], settings)
            continue
        yield _point(peer, K, points, None, settings)


def _point(peer: Peer, K: int, points: list[Row], reason: str | None, settings: Settings) -> Row:
    gap = _GAP[settings.dtype]
    instance = {"kind": "long tail", "K": K}
    outcome = {None: "measured", "not installed": "not installed"}.get(reason, "failed")
    return missing("work_precision", instance, peer.name, outcome, reason or "", settings, gap) | {"points": points}
