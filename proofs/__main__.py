"""`python -m proofs [--out FILE]`: check every theorem, render them as Markdown, exit non-zero unless all pass."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from proofs import THEOREMS
from proofs.render import document
from proofs.verifiers.refutation import refuted

PAGE = Path(__file__).with_name("THEOREMS.md")


def main() -> int:
    """Print one line per theorem, and one per claim that it refutes; 0 if every step is proved or cited."""
    parser = argparse.ArgumentParser(prog="python -m proofs", description="Check every theorem and render them.")
    parser.add_argument("--out", type=Path, default=PAGE, help="Markdown file to write (default: beside the package)")
    page = parser.parse_args().out
    reports = []
    for theorem in THEOREMS.values():
        report = theorem.check()
        reports.append(report)
        print(report if not report.ok else report.summary(), flush=True)
        for claim, finding in refuted(report):
            print(f"    refuted: {claim}\n      {finding.note}", flush=True)
    page.write_text(document(reports), encoding="utf-8")
    return 0 if all(report.ok for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
