"""`erp.profile` brings what a vendor publishes; what the settings add holds besides."""

import tomllib
from pathlib import Path

import pytest

from actors.settings import SettingsRefused
from ops.config import load
from ops.sandbox.limits import PROFILES_PATH

PROFILES = tomllib.loads(PROFILES_PATH.read_text())


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile["limits"]])
def test_every_profile_that_publishes_a_number_can_be_named(name: str) -> None:
    assert load(None, {"TIDEGATE_ERP__PROFILE": name}).erp.limits == tuple(PROFILES[name]["limits"])


def test_limits_that_are_given_hold_besides(tmp_path: Path) -> None:
    path = tmp_path / "tidegate.toml"
    path.write_text('[erp]\nprofile = "xero"\nlimits = ["60/min", "post: 30/min"]\n')
    assert load(path, {}).erp.limits == ("60/min", "5000/day", "5 concurrent", "post: 30/min")


def test_a_number_of_our_own_can_only_narrow_what_is_published() -> None:
    for given, told in (("2 concurrent", "2 concurrent"), ("9 concurrent", "5 concurrent")):
        settings = load(None, {"TIDEGATE_ERP__PROFILE": "xero", "TIDEGATE_ERP__LIMITS": given})
        assert settings.erp.limits == ("60/min", "5000/day", told)
    with pytest.raises(SettingsRefused, match="cannot be read"):
        load(None, {"TIDEGATE_ERP__PROFILE": "xero", "TIDEGATE_ERP__LIMITS": "plenty"})


@pytest.mark.parametrize(
    "name", [name for name, profile in PROFILES.items() if "missing" in profile and not profile["limits"]]
)
def test_a_vendor_that_publishes_no_number_leaves_it_to_the_settings(name: str) -> None:
    with pytest.raises(SettingsRefused, match="publishes no number"):
        load(None, {"TIDEGATE_ERP__PROFILE": name})
    assert load(None, {"TIDEGATE_ERP__PROFILE": name, "TIDEGATE_ERP__LIMITS": "3/1s"}).erp.limits == ("3/1s",)


def test_an_unknown_profile_is_refused_with_a_guess() -> None:
    with pytest.raises(SettingsRefused, match="Did you mean xero"):
        load(None, {"TIDEGATE_ERP__PROFILE": "xeros"})


def test_without_a_profile_the_limits_are_the_defaults() -> None:
    assert load(None, {}).erp.limits == ("10/1s", "5 concurrent")
