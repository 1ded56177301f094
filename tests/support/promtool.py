"""promtool's unit tests of the rules, for series that a test makes up."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.programs import find
from tests.support.rules import RULE_FILE

Series = Iterable[tuple[str, str]]


def asked(folder: Path, series: Series, checks: Mapping[str, Iterable[str]], *, step: str = "1m") -> str:
    """Evaluate expressions over series and the rules, and return what differs from `checks`; empty if nothing does.

    Args:
        folder: place for the test file.
        series: each with its values, in promtool's notation.
        checks: the label sets that `EXPRESSION @ TIME` returns, each with value 1.
        step: interval of scrapes and of rules.
    """
    tests = [
        {"expr": expr, "eval_time": time, "exp_samples": [{"labels": labels, "value": 1} for labels in expected]}
        for check, expected in checks.items()
        for expr, _, time in [check.rpartition(" @ ")]
    ]
    group = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series],
        "promql_expr_test": tests,
    }
    path = folder / "test.yaml"
    path.write_text(json.dumps({"rule_files": [str(RULE_FILE)], "evaluation_interval": step, "tests": [group]}))
    done = subprocess.run([find("promtool"), "test", "rules", path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def labelled(name: str, **labels: str) -> str:
    """Return the name of a series."""
    return f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"
