"""Settings of the way to etcd are checked whole; a cluster that is too old is refused, an unfit one named."""

from __future__ import annotations

import pytest
from dative.errors import ConfigError, DativeError
from dative.errors.molecule import ETCD_TOO_OLD
from dative_atom.molecule.connect import EtcdSettings, check_cluster
from dative_atom.molecule.coordination import ClusterStatus

SECURE = {"endpoints": ["https://etcd-1:2379", "https://etcd-2:2379"]}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": ["etcd-1:2379"]}, "etcd-1:2379"),
        ({"endpoints": ["https://etcd-1"]}, "etcd-1"),
        ({"endpoints": ["https://a:1", "http://b:1"]}, "all https or all http"),
        ({"endpoints": ["https://a:1", "https://a:1"]}, "twice"),
        ({"endpoints": ["http://a:1"], "ca_file": "/ca.pem"}, "https"),
        ({**SECURE, "ca_file": "/ca.pem", "ca_pem": "text"}, "not both"),
        ({**SECURE, "cert_file": "/a.pem"}, "key_file"),
        ({**SECURE, "user": "atom"}, "password"),
        ({**SECURE, "password": "env:WORD"}, "user"),
        ({**SECURE, "user": "atom", "password": "hunter2"}, "reference"),
        ({"endpoints": ["http://etcd-1:2379"], "user": "atom", "password": "env:WORD"}, "in the clear"),
        ({**SECURE, "timeout_s": 0}, "timeout_s"),
        ({**SECURE, "time_out": 1}, "time_out"),
    ],
)
def test_settings_that_do_not_hold_together_are_refused_by_name(given, named):
    with pytest.raises(DativeError, match=named) as refused:
        EtcdSettings.of(given)
    assert isinstance(refused.value, ConfigError) or named == "reference"
    assert "hunter2" not in refused.value.message


def test_settings_that_hold_give_addresses_and_files():
    settings = EtcdSettings.of({**SECURE, "ca_file": "/ca.pem", "user": "atom", "password": "file:/run/word"})
    assert settings.addresses == ("etcd-1:2379", "etcd-2:2379")
    assert str(settings.tls.ca) == "/ca.pem"
    assert EtcdSettings.of({"endpoints": ["http://127.0.0.1:2379/"]}).tls is None


def status(*versions: str) -> ClusterStatus:
    named = {f"m{n}:2379": version for n, version in enumerate(versions)}
    return ClusterStatus("cafe", len(versions), named, True, 0, 0)


@pytest.mark.parametrize(
    ("version", "warned"),
    [
        ("3.4.0", True),
        ("3.4.23", True),
        ("3.5.1", True),
        ("3.5.32", True),
        ("3.5.33", False),
        ("3.6.0-rc.3", True),
        ("3.6.13", True),
        ("3.6.14", False),
        ("3.7.0", False),
        ("4.0.0", False),
    ],
)
def test_versions_that_can_lose_data_are_named(version, warned):
    warnings = check_cluster(status("3.6.14", version))
    assert bool(warnings) is warned
    assert all(version in one and "m1:2379" in one for one in warnings)


@pytest.mark.parametrize("version", ["3.3.27", "2.3.8", "not a version"])
def test_versions_before_3_4_are_refused(version):
    with pytest.raises(DativeError) as refused:
        check_cluster(status("3.6.14", version))
    assert refused.value.code is ETCD_TOO_OLD
