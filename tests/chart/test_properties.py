"""Properties for all options and spaces: valid objects, short unique names, stable selectors."""

import string

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as runs
from hypothesis import strategies as st

from tests.chart.charts import MINIMUM, at, merged, render, settings
from tests.chart.validity import assert_restricted, check, pod_specs

# Each render starts a process, so shrinking would take minutes and is disabled.
BOUNDED = runs(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)

ALPHANUMERIC = string.ascii_letters + string.digits
SEGMENT = st.builds(str.__add__, st.sampled_from(f"{ALPHANUMERIC}_-"), st.text(f"{ALPHANUMERIC}_.$-", max_size=40))
REF = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
SPACES = st.lists(REF, min_size=1, max_size=6, unique=True)
RELEASE = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,49}[a-z0-9])?(\.[a-z0-9])?", fullmatch=True)
LABEL = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
TEXT = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), max_size=30)
SWITCHES = ("networkPolicy", "podDisruptionBudget", "prometheusRule", "dashboards", "dashboards.grafanaOperator")


@st.composite
def values(draw):
    """Draw values that no guard rejects."""
    on = draw(st.sets(st.sampled_from(SWITCHES)))
    if "dashboards" not in on:
        on.discard("dashboards.grafanaOperator")
    on |= {
        draw(st.sampled_from(["serviceMonitor", "podMonitor", "scrapeConfig"])),
        *draw(st.sampled_from(["", ["probe"], ["sharding"]])),
    }
    spaces = draw(SPACES)
    own = draw(st.sets(st.sampled_from(spaces)))
    layers = [MINIMUM, *(at(f"{name}.enabled", True) for name in on), at("config.spaces", spaces)]
    layers += [at("apiKey.spaces", {ref: {"name": "har-own", "key": "k"} for ref in own})]
    layers += [at("config.search_term", draw(TEXT.filter(str.strip))), at("commonLabels", {"team": draw(LABEL)})]
    layers += [at("podAnnotations", {"note": draw(TEXT)}), at("prometheusRule.alertLabels", {"a": draw(LABEL)})]
    return merged(*layers)


@given(values=values(), release=RELEASE)
@BOUNDED
def test_objects_are_valid_with_short_names_and_the_selectors_and_settings_that_were_given(values, release):
    """Selectors depend on the release alone. It is one test because each render starts a process."""
    objects = render(values, release=release)
    _assert_valid(objects)
    _assert_given(settings(objects), values["config"], values["apiKey"]["spaces"])
    assert _selectors(objects) == _selectors(render(MINIMUM, release=release))


def _assert_valid(objects):
    for one in objects:
        check(one, ["1.34"])
        assert len(one["metadata"]["name"]) <= 63
    ids = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(ids)) == len(ids)
    for spec in pod_specs(objects):
        assert_restricted(spec)


def _assert_given(found, config, keys):
    refs = [one if isinstance(one, str) else one["ref"] for one in found["spaces"]]
    assert refs == config["spaces"]
    assert found["search_term"] == config["search_term"]
    own = {one["ref"]: one["api_key_file"] for one in found["spaces"] if not isinstance(one, str)}
    assert own.keys() == keys.keys()
    assert len(set(own.values())) == len(own)


def _selectors(objects):
    workload = next(one for one in objects if one["kind"] in {"Deployment", "StatefulSet"})
    service = next(one for one in objects if one["kind"] == "Service" and one["spec"].get("clusterIP") != "None")
    return workload["metadata"]["name"], workload["spec"]["selector"], service["spec"]["selector"]


@given(release=RELEASE)
@BOUNDED
def test_releases_share_no_name(release):
    names = [{found["metadata"]["name"] for found in render(MINIMUM, release=one)} for one in (release, "r")]
    assert release == "r" or not names[0] & names[1]
