"""Mutation tests of the alerting rules: `make rule-mutants` prints the survivors and the share of killed mutants.

Each mutant is one small change of one rule: an operator, a number, a window, an aggregation, a label, a `for`, a
matcher or part of an annotation. It is killed if `promtool test rules` fails. Mutants that behave like the original for
every input are listed in `EQUIVALENT`, with the reason.
"""

import copy
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import yaml

Rules = dict[str, Any]  # a rule, or a file of rules, parsed from YAML

RULES = Path(__file__).parent.parent / "grafana" / "rules"
RULE_FILE, TEST_FILE = "har-exporter.rules.yaml", "har-exporter.test.yaml"
CHECKS = ("alert_rule_test", "promql_expr_test")
GOAL = 0.95
PARALLEL = 2

SWAPS = (
    (r"\bmax by\b", "sum by"),
    (r"\bmax by\b", "min by"),
    (r"\bmin by\b", "max by"),
    (r"\bmin by\b", "avg by"),
    (r"\bsum by\b", "max by"),
    (r"\blast_over_time\b(?!\([\w:]*(seen|worked)_timestamp_seconds)", "max_over_time"),
    (r"\blast_over_time\b(?!\([\w:]*first_seen_timestamp_seconds)", "min_over_time"),
    (r"\bmin_over_time\b", "max_over_time"),
    (r"\bincrease\b", "rate"),
    (r"\[30m\]", "[5m]"),
    (r"\[30m\]", "[2h]"),
    (r"\[15m\]", "[2m]"),
    (r"\[15m\]", "[2h]"),
    (r"\[1h\]", "[10m]"),
    (r"\[1h\]", "[3h]"),
    (r"\[6h\]", "[1h]"),
    (r"\[6h\]", "[12h]"),
    (r"\[1d\]", "[30m]"),
    (r" offset 1h", ""),
    (r" offset 1h", " offset 20m"),
    (r" > ", " >= "),
    (r" > ", " < "),
    (r" < ", " <= "),
    (r" < ", " > "),
    (r" >= (?!bool)", " > "),
    (r" == ", " != "),
    (r"\bunless\b", "and"),
    (r"\band\b", "unless"),
    (r"\bor\b", "unless"),
    (r"\b1 - ", ""),
    (r" - ", " + "),
    (r" \+ ", " - "),
    (r"(?<=[ (])3 \*", "2 *"),
    (r"(?<=[ (])2 \*", "1 *"),
    (r"\b600\b", "60"),
    (r"\b0\.5 \*", "0.4 *"),
    (r"\b0\.5 \*", "0.6 *"),
    (r"\b0\.9\b", "0.85"),
    (r"\b0\.1\b", "0.15"),
    (r"\b0\.25\b", "0.2"),
    (r"\b0\.25\b", "0.4"),
    (r"\b20\b", "10"),
    (r"\b20\b", "21"),
    (r"> 5\b", "> 4"),
    (r"> 5\b", "> 6"),
    (r">= 10\b", ">= 9"),
    (r">= 10\b", ">= 11"),
    (r"(?<==~)\"\(\?i:(\w+)[^\"]*\)\"", r'"\1"'),
    (r"\bon \((\w+), \w+(, [^)]*)?\)", r"on (\1)"),
    (r"(?<=by \()space, registry, package_type(?=[,)])", "space, registry"),
    (r"(?<=by \()space, (?=registry)", ""),
    (r"(?<=by \()job, namespace(?=\))", "job"),
    (r"(?<=[{,])\s*\w+[!=]?[=~]+\"[^\"]*\"", ""),
    (r"quarantined\|blocked", "blocked"),
    (r"quarantined\|blocked", "quarantined"),
    (r"401\|403", "401"),
    (r"401\|403", "403"),
)
"""Patterns in expressions, each match of which is replaced separately, and their replacements.

Times when something was seen never fall, and those when it was first seen do not change: their last value is also the
largest, and the smallest.
"""

TEXT_SWAPS = (
    (r"max by \([^)]*\) \(", "sum ("),
    (r"finding_environments|artifact_finding\{|_finding_info|har_registry_info|failures_total", "nothing"),
    (r" > 0\b", " >= 0"),
    (r"\bor \(last_over_time\([^)]*\) ?(> 0 )?unless", "or (vector(0) unless"),
    (r"\[30m\]", "[1m]"),
    (r" \| sortByLabel \"\w+\"", ""),
    (r"lt \$i 5", "lt $i 6"),
    (r"lt \$i 5", "lt $i 4"),
    (r" \| urlquery", ""),
    (r"\$labels\.\w+(?= [|}])", '"x"'),
    (r" \| humanize\w+", ""),
    (r"\(\w+\)", ""),
    (r"^(?!\{\{)\w+", "Mutant"),
)
"""Patterns in annotations, and their replacements."""

EQUIVALENT = {
    r"registry:har_scan_coverage:ratio: 'sum by' #1 -> 'max by'": "a registry has one series of that status",
    r"HarnessARArtifacts\w+: 'sum by' #1 -> 'max by'": "a registry has one series of each finding",
    r"registry:har_artifacts_\w+:new: 'sum by' #1 -> 'max by'": "a registry has one series of each finding",
    r"HarnessARNew\w+: '>' #1 -> '>='": "news is never 0",
    r"HarnessARAuthFailing: 'min by' #1 -> 'avg by'": "both are 1 only if all are 1",
    r"HarnessARAuthFailing: 'sum by' #1 -> 'max by'": "both are above 0 only if one is",
    r"HarnessARAuthFailing: 'increase' #1 -> 'rate'": "both are above 0 at the same time",
    r"(job:har_up|space:har_up|registry:har_artifacts|registry:har_firewall_enforced|space_finding:har_artifacts_unlisted)"
    r":seen_timestamp_seconds: '\[1d\]' #1 -> '\[30m\]'": "promtool cannot test what is remembered while no rule runs",
    r"HarnessAR(ScanCoverageLow|ScansStale|SourceFailing)"
    r": '\[30m\]' #\d -> '\[2h\]'": "the other side is forgotten too",
    r"HarnessARRegistryPublic: '\[30m\]' #2 -> '\[2h\]'": "the other side is forgotten too",
    r"HarnessARFindingsSurge: '\[1h\]' #1 -> '\[3h\]'": "the other side is forgotten too",
    r"HarnessARInventoryDropped: '\[30m\]' #[34] -> '\[2h\]'": "what it silences is forgotten too",
    r"HarnessARRegistryDisappeared: '\[30m\]' #2 -> '\[2h\]'": "what it silences is forgotten too",
    r"artifact:\w+:new: '\[1h\]' #\d -> '\[3h\]'": "what is first seen within the hour is in it, with its space",
    r"(registry|space):\w+:new: '\[1h\]' #[13] -> '\[3h\]'": "a total without a value in the hour has no minimum in it",
    r"registry:\w+:new: 'registry!=\"\S+\"' #\d -> ''": "the other side of the minus has it too",
    r"\w+:\w+:before_drop: 'last_over_time' #1 -> 'max_over_time'": "the largest that is remembered applies first",
}
"""Mutants that are equivalent to the original, as patterns of their names, and the reasons."""


def equivalent(name: str) -> bool:
    """Return whether the mutant of a name is equivalent to the original."""
    return any(re.fullmatch(pattern, name) for pattern in EQUIVALENT)


class Mutant(NamedTuple):
    """Rules with one change of one rule.

    Attributes:
        rule: the name of the rule.
        change: the place in it, the old and the new text.
        rules: all rules, with the change.
    """

    rule: str
    change: str
    rules: Rules

    @property
    def name(self) -> str:
        """Unique name."""
        return f"{self.rule}: {self.change}"


def mutants(rules: Rules) -> Iterator[Mutant]:
    """Yield every mutant of the rules."""
    for g, group in enumerate(rules["groups"]):
        for r, rule in enumerate(group["rules"]):
            for place, path, text in _changes(rule):
                mutated = copy.deepcopy(rules)
                _put(mutated["groups"][g]["rules"][r], path, text)
                yield Mutant(_name(rule), place, mutated)


def _name(rule: Rules) -> str:
    return str(rule.get("alert") or rule["record"])


def _covered(rules: Rules, tests: list[Rules]) -> set[str]:
    """Return the names of the rules that tests cover: the alerts and records that they check, and the records below."""
    all_rules = {_name(rule): rule for group in rules["groups"] for rule in group["rules"]}
    found: set[str] = set()
    left = [check for test in tests for kind in CHECKS for check in test.get(kind, ())]
    while left:
        named = all_rules.keys() & set(re.findall(r"[\w:]+", str(left.pop())))
        left += [all_rules[name] for name in named - found]
        found |= named
    return found


def _changes(rule: Rules) -> Iterator[tuple[str, tuple[str, ...], str]]:
    yield from ((place, ("expr",), text) for place, text in _swapped(rule["expr"], SWAPS))
    for field in ("for", "keep_firing_for"):
        if field in rule:
            yield from ((f"{field} {text}", (field,), text) for text in ("0s", *_around(rule[field])))
    if "alert" in rule and "for" not in rule:
        yield "for 1m", ("for",), "1m"
    for name, value in rule.get("labels", {}).items():
        yield f"label {name}", ("labels", name), value + "x"
    for name, text in rule.get("annotations", {}).items():
        yield f"{name} gone", ("annotations", name), ""
        yield from ((f"{name} {place}", ("annotations", name), other) for place, other in _swapped(text, TEXT_SWAPS))


def _around(duration: str) -> tuple[str, str]:
    """Return a duration that is a minute shorter, and one that is a minute longer."""
    minutes = int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]
    return f"{minutes - 1}m", f"{minutes + 1}m"


def _swapped(text: str, swaps: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    seen = {text}
    for pattern, other in swaps:
        for number, found in enumerate(re.finditer(pattern, text), start=1):
            changed = text[: found.start()] + found.expand(other) + text[found.end() :]
            if changed not in seen:
                seen.add(changed)
                yield f"{found[0].strip()!r} #{number} -> {found.expand(other).strip()!r}", changed


def _put(rule: Rules, path: tuple[str, ...], value: str) -> None:
    *parents, last = path
    for parent in parents:
        rule = rule[parent]
    rule[last] = value


class UnitTests:
    """Unit tests of the rules by name; each runs only with the rules that it covers, to save time."""

    def __init__(self, promtool: str, rules: Rules) -> None:
        self._promtool = promtool
        self._file = yaml.safe_load((RULES / TEST_FILE).read_text())
        self._named: dict[str, list[Rules]] = {}
        for test in self._file["tests"]:
            self._named.setdefault(test["name"], []).append(test)
        self._covers = {name: _covered(rules, self._named[name]) for name in sorted(self._named, key=self._steps)}

    def failures(self, name: str, rules: Rules) -> str:
        """Return what promtool prints about the tests of a name that fail, nothing if all pass."""
        groups = [
            {**group, "rules": [rule for rule in group["rules"] if _name(rule) in self._covers[name]]}
            for group in rules["groups"]
        ]
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder, RULE_FILE), {"groups": groups})
            _write(Path(folder, TEST_FILE), self._file | {"tests": self._named[name]})
            command = [self._promtool, "test", "rules", TEST_FILE]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            return done.stdout + done.stderr if done.returncode else ""

    def broken(self, rules: Rules) -> list[str]:
        """Return the names of the tests that fail."""
        return [name for name in self._covers if self.failures(name, rules)]

    def kill(self, mutant: Mutant) -> bool:
        """Return whether any test fails with a mutant, trying the fastest test first."""
        return any(self.failures(name, mutant.rules) for name, rules in self._covers.items() if mutant.rule in rules)

    def _steps(self, name: str) -> int:
        checks = [check for test in self._named[name] for kind in CHECKS for check in test.get(kind, ())]
        return max(int(check["eval_time"].removesuffix("m")) for check in checks)


def _write(path: Path, value: Rules) -> None:
    # YAML does not read the surrogates as which JSON writes characters outside the basic plane.
    path.write_text(json.dumps(value, ensure_ascii=False))


def main() -> int:
    """Test every mutant; return 0 if enough of them are killed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        print("promtool is not installed (Debian package: prometheus)")
        return 2
    rules = yaml.safe_load((RULES / RULE_FILE).read_text())
    tests = UnitTests(promtool, rules)
    if broken := tests.broken(rules):
        print(f"these tests fail without a mutant: {', '.join(broken)}")
        return 2
    tried = list(mutants(rules))
    with ThreadPoolExecutor(PARALLEL) as pool:
        dead = {mutant.name for mutant, died in zip(tried, pool.map(tests.kill, tried), strict=True) if died}
    return _verdict({mutant.name for mutant in tried}, dead)


def _verdict(tried: set[str], dead: set[str]) -> int:
    different = {name for name in tried if not equivalent(name)}
    for name in sorted(different - dead):
        print(f"survived  {name}")
    for name in sorted(dead - different):
        print(f"killed, so not equivalent  {name}")
    share = len(dead) / len(different)
    equal = len(tried - different)
    print(f"{len(dead)} of {len(tried)} mutants killed, {equal} are equivalent: {share:.1%} (goal {GOAL:.0%})")
    return 0 if share >= GOAL and dead <= different else 1


if __name__ == "__main__":
    sys.exit(main())
