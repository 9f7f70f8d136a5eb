"""The Kubernetes objects: valid by the published schemas, consistent with each other, and they fit the daemon."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import kubernetes_validate
import pytest

from actors.settings import Settings
from tests.unit.deploy.files import compose, documents, image_environment, image_says, kubernetes, stop_seconds

OBJECTS = documents("kubernetes.yaml")
OLDEST = "1.29"
"""The first version with all that is used: ReadWriteOncePod is stable there."""
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
(STATEFUL_SET,) = kubernetes("StatefulSet")
POD = STATEFUL_SET["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
LABELS = STATEFUL_SET["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("document", OBJECTS, ids=lambda document: f"{document['kind']}-{document['metadata']['name']}")
def test_each_object_follows_its_schema(document: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_schema_would_name_a_mistake() -> None:
    wrong = copy.deepcopy(STATEFUL_SET)
    wrong["spec"]["template"]["spec"]["terminationGracePeriod"] = 90
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


def test_there_is_one_writer_with_a_disk_that_nobody_else_can_open() -> None:
    (claim,) = STATEFUL_SET["spec"]["volumeClaimTemplates"]
    assert STATEFUL_SET["spec"]["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert STATEFUL_SET["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


def test_every_selector_finds_the_pod() -> None:
    selectors = [service["spec"]["selector"] for service in kubernetes("Service")]
    selectors += [budget["spec"]["selector"]["matchLabels"] for budget in kubernetes("PodDisruptionBudget")]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in kubernetes("NetworkPolicy")]
    selectors.append(STATEFUL_SET["spec"]["selector"]["matchLabels"])
    assert len(selectors) == 5
    assert all(selector and selector.items() <= LABELS.items() for selector in selectors)


def test_the_governing_service_exists_and_is_headless() -> None:
    (governing,) = [
        service
        for service in kubernetes("Service")
        if service["metadata"]["name"] == STATEFUL_SET["spec"]["serviceName"]
    ]
    assert governing["spec"]["clusterIP"] == "None"


def test_what_is_mounted_exists() -> None:
    volumes = {volume["name"] for volume in POD["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in STATEFUL_SET["spec"]["volumeClaimTemplates"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == volumes
    named = {volume["configMap"]["name"] for volume in POD["volumes"] if "configMap" in volume}
    assert named == {config["metadata"]["name"] for config in kubernetes("ConfigMap")}
    assert POD["serviceAccountName"] in {account["metadata"]["name"] for account in kubernetes("ServiceAccount")}


def test_the_data_lies_on_the_disk() -> None:
    (config,) = kubernetes("ConfigMap")
    paths = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    settings = tomllib.loads(config["data"]["tidegate.toml"])
    assert settings["data"]["directory"] == paths["data"] == image_environment()["TIDEGATE_DATA__DIRECTORY"]


def test_secrets_are_referred_to_and_mounted_as_files() -> None:
    assert not kubernetes("Secret")
    (mount,) = [mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "secrets"]
    assert mount["readOnly"] is True
    for entry in CONTAINER["env"]:
        assert entry["name"].endswith("_FILE")
        assert entry["value"].startswith(mount["mountPath"] + "/")


def test_kubernetes_waits_longer_than_a_stop_may_take() -> None:
    (config,) = kubernetes("ConfigMap")
    assert tomllib.loads(config["data"]["tidegate.toml"])["daemon"]["drain_seconds"] == Settings().daemon.drain_seconds
    assert POD["terminationGracePeriodSeconds"] > stop_seconds(Settings())


def test_ports_are_named_and_are_the_daemon_s() -> None:
    assert CONTAINER["ports"] == [{"name": "http", "containerPort": Settings().http.port}]
    for service in kubernetes("Service"):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == "http"


def test_the_daemon_has_time_to_start_before_it_is_given_up() -> None:
    probe = CONTAINER["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 180


def test_the_pod_has_no_rights_that_it_does_not_need() -> None:
    (user,) = image_says("USER")
    pod, own = POD["securityContext"], CONTAINER["securityContext"]
    assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == user
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False


def test_no_variable_of_the_cluster_is_taken_for_a_setting() -> None:
    assert POD["enableServiceLinks"] is False


def test_kubernetes_and_compose_run_the_same_image() -> None:
    assert CONTAINER["image"] == compose()["services"]["tidegate"]["image"]
    assert not CONTAINER["image"].endswith(":latest")


def test_a_node_can_be_drained() -> None:
    (budget,) = kubernetes("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
