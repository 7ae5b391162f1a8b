"""Certified solves per second: lpmjax against what one would use instead, on CPU, GPU and TPU.

    python -m benchmarks                      # quick, about two minutes on two idle cores
    python -m benchmarks full                 # every case and peer, over half an hour
    python -m benchmarks full --dtype float32
    python -m benchmarks report               # REPORT.md and figures, from the stored JSON alone
    python -m benchmarks compare a.json b.json

Each case runs in a process of its own, so that memory peaks, compilations and crashes are its own. A cell that is not
certified to the gap its case states counts as failed, never as fast. ``README.md`` beside this file says more.
"""
