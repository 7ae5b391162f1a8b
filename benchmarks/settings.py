"""How large and how long: the modes."""

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

CEILINGS = "ceilings"  #: runs before every case
#: the cases in the order in which they run, the short ones first, and whether they are part of quick
CASES = {
    "eager": True,
    "many_classes": False,
    "precision": False,
    "boundary": True,
    "derivative": True,
    "phase_diagram": True,
    "padded": True,
    "devices": False,
    "deep_separable": True,
    "deep_referee": False,
    "flow": False,
    "rounds": False,
    "two_group": True,
    "factored": False,
    "grouped": True,
    "peers": True,
    "tails": True,
    "programs": True,
    "work_precision": False,
}
#: from the least telling to the fullest
MODES = ("tiny", "quick", "device", "full")
#: what a machine that is lent for minutes is asked
DEVICE_CASES = ("two_group", "rounds", "grouped", "devices")
DTYPES = ("float64", "float32")
#: relative duality gap that a cell must be certified to, by method; in float32 after ``lpmjax.certify`` on the host
GAPS = {"float64": {"two_group": 1e-10, "grouped": 1e-8}, "float32": {"two_group": 1e-3, "grouped": 1e-3}}


@dataclass(frozen=True)
class Settings:
    """One run: ``mode`` is "tiny" (seconds, for tests), "quick", "device" (minutes on an accelerator), "full"."""

    mode: str = "quick"
    dtype: str = "float64"

    def pick(self, tiny: T, quick: T, full: T, device: T | None = None) -> T:
        """The value for this mode; on a device by default that of full."""
        return {"tiny": tiny, "quick": quick, "full": full, "device": full if device is None else device}[self.mode]

    @property
    def cases(self) -> tuple[str, ...]:
        """Those of the mode."""
        named = {"quick": tuple(name for name, in_quick in CASES.items() if in_quick), "device": DEVICE_CASES}
        return named.get(self.mode, tuple(CASES))

    @property
    def runs(self) -> int:
        """Warm calls of one row, unless ``seconds`` end first; never fewer than two."""
        return self.pick(2, 20, 20, 5)

    @property
    def seconds(self) -> float:
        """Seconds of warm calls of one row."""
        return self.pick(0.0, 1.0, 10.0, 5.0)

    @property
    def case_seconds(self) -> float:
        """Time limit of one case, compilation included, where its share of the run is not less; the rows that it had
        finished are kept."""
        return self.pick(300.0, 90.0, 600.0, 120.0)

    @property
    def all_seconds(self) -> float:
        """Time limit of the run."""
        return self.pick(600.0, 240.0, 1500.0, 450.0)

    @property
    def peer_seconds(self) -> float:
        """Time limit of one solve of one peer, and of the search for the setting that certifies."""
        return self.pick(2.0, 3.0, 6.0)

    def gap(self, method: str) -> float:
        """Relative duality gap asked of "two_group" or "grouped"."""
        return GAPS[self.dtype][method]
