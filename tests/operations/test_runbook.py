"""The runbook and the alerts have the same entries, and both say what there is."""

import re

import yaml

from conftest import ROOT

RUNBOOK = (ROOT / "docs/runbook.md").read_text()
RULES = yaml.safe_load((ROOT / "deploy/prometheus/courant.rules.yml").read_text())
ADDRESS = "https://github.com/courant/courant/blob/main/docs/runbook.md"


def entries(chapter):
    """The entries below a heading of the second level: {heading: text}."""
    (text,) = re.findall(rf"^## {chapter}\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    found = re.split(r"^### (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2]))


def alerts():
    return {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}


def test_each_alert_has_an_entry_and_each_entry_an_alert():
    assert len(alerts()) >= 20
    assert sorted(entries("Alerts")) == sorted(alerts())


def test_each_alert_leads_to_its_entry():
    for name, rule in alerts().items():
        assert rule["annotations"].get("runbook_url") == f"{ADDRESS}#{name.lower()}", name


def test_each_entry_says_what_one_sees_how_to_look_and_what_to_do():
    for name, text in (entries("Alerts") | entries("Faults")).items():
        for part in ("Sees", "Check", "Remedy"):
            assert f"- **{part}:** " in text, f"{name} has no {part}"


def test_each_fault_is_played():
    played = []
    for name, text in entries("Faults").items():
        played += (named := re.findall(r"`(tests/operations/test_\w+\.py)`", text))
        assert named, f"{name} names no test"
    assert len(played) >= 6
    for path in played:
        assert (ROOT / path).is_file(), path
