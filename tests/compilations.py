"""Programs that XLA has compiled in this process, by name, from the import of this module on."""

import jax

names: list[str] = []


def _heard(event: str, seconds: float, **about: str) -> None:
    if event.endswith("backend_compile_duration"):
        names.append(about.get("fun_name", ""))


jax.monitoring.register_event_duration_secs_listener(_heard)
