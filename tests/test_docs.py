"""What the README says of names is what the code has."""

import re
from pathlib import Path

import pytest
from readme import README, render

from exporter.errors import REASONS, RefreshError
from exporter.metrics import LABELS, PROCESS_FAMILIES, SPACE_FAMILIES
from exporter.settings import Settings

FAMILIES = (*SPACE_FAMILIES, *PROCESS_FAMILIES)


def test_the_tables_of_the_readme_are_those_of_the_code():
    text = README.read_text()
    assert render(text) == text, "run `make readme`"


def test_every_label_of_a_family_is_explained_and_no_other():
    assert set(LABELS) == {label for family in FAMILIES for label in family.labels}


def test_no_family_is_there_twice():
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", [row for row in SPACE_FAMILIES if "snapshot" not in row.name], ids=lambda f: f.name)
def test_the_help_of_data_from_the_api_says_that_it_is_cached(family):
    from_api = re.match(r"har_(artifact|registry|findings)", family.name)
    assert bool(from_api) == family.help.endswith("tells their age.")


def test_no_label_is_one_of_prometheus_own():
    assert not set(LABELS) & {"job", "instance", "namespace", "pod", "service", "endpoint", "le", "quantile"}


def test_every_metric_that_the_readme_names_exists():
    names = {family.name for family in FAMILIES}
    assert set(re.findall(r"\bhar_[a-z_]+", README.read_text())) - names == set()


def test_every_setting_that_the_readme_gives_as_a_variable_exists():
    variables = set(re.findall(r"HAR_EXPORTER_([A-Z_]+)", README.read_text())) - {"CONFIG"}
    assert {name.lower() for name in variables} <= Settings.model_fields.keys()


def test_there_is_one_error_for_each_reason():
    errors = RefreshError.__subclasses__()
    assert len(REASONS) == len(errors) == 17
    tree = (Path(__file__).parent.parent / "exporter" / "errors.py").read_text()
    for error in errors:
        assert re.search(rf"── {error.__name__} +{error.reason} ", tree)
