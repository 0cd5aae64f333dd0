"""The manifests, as kubectl renders them: valid, locked down, and understood by the programs."""

import os
import pathlib
import re
import shutil
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml

from programs import BINARIES, PATIENCE, ROOT, clean_environment

MANIFESTS = ROOT / "deploy/kubernetes"
OVERLAYS = ["single-node", "nats-cluster"]
KUBECTL = os.environ.get("COURANT_KUBECTL", ROOT / "target/tools/bin/kubectl")
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
WORKLOADS = ("Deployment", "StatefulSet")
# Programs whose metrics have an address of their own from the next version on.
LATER = set()


def render(folder):
    made = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=PATIENCE)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


RENDERED = {}


@pytest.fixture(params=OVERLAYS)
def rendered(request):
    if request.param not in RENDERED:
        RENDERED[request.param] = render(MANIFESTS / "overlays" / request.param)
    return RENDERED[request.param]


def named(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def workloads(rendered):
    return [thing for thing in rendered if thing["kind"] in WORKLOADS]


def pod(workload):
    return workload["spec"]["template"]["spec"]


def containers(rendered):
    return [
        (named(workload), container) for workload in workloads(rendered) for container in pod(workload)["containers"]
    ]


def ours(rendered):
    """The containers of Courant, each with its workload."""
    both = [(workload, pod(workload)["containers"][0]) for workload in workloads(rendered)]
    return [(workload, container) for workload, container in both if "courant:" in container["image"]]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def matches(selector, labels):
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def test_every_object_is_what_kubernetes_knows(rendered):
    definition = yaml.safe_load((ROOT / "tests/deploy/crds/scaledobjects.yaml").read_text())
    scaled_object = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for thing in rendered:
        if thing["kind"] == "ScaledObject":
            jsonschema.validate(thing, scaled_object)
            continue
        for version in (OLDEST, NEWEST):
            kubernetes_validate.validate(thing, version, strict=True)
        assert thing["kind"] in ("Namespace",) or thing["metadata"]["namespace"] == "courant", named(thing)
    assert len({named(thing) for thing in rendered}) == len(rendered)


def test_a_misspelt_field_would_be_noticed(rendered):
    wrong = yaml.safe_load(yaml.safe_dump(workloads(rendered)[0]))
    pod(wrong)["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_pods_can_do_no_more_than_they_need(rendered):
    (namespace,) = [thing for thing in rendered if thing["kind"] == "Namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(rendered):
        spec, name = pod(workload), named(workload)
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 10_000, name
        assert spec["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"), name
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name
        assert not any(spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")), name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name
            assert ":" in container["image"] and not container["image"].endswith(":latest"), name


def test_secrets_are_files_and_none_is_in_a_manifest(rendered):
    assert not [thing for thing in rendered if thing["kind"] == "Secret"]
    for name, container in containers(rendered):
        variables = [variable["name"] for variable in container.get("env", [])]
        assert len(variables) == len(set(variables)), f"{name} names a variable twice"
        for variable in container.get("env", []):
            assert "secretKeyRef" not in variable.get(
                "valueFrom", {}
            ), f"{name} has {variable['name']} in its environment"
        assert not container.get("envFrom"), name
    for workload in workloads(rendered):
        for volume in pod(workload)["volumes"]:
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440, named(workload)


def test_every_probe_is_there_and_a_lost_server_restarts_nothing(rendered):
    for name, container in containers(rendered):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            (asked,) = [probe[way] for way in ("httpGet", "tcpSocket", "grpc") if way in probe]
            assert asked["port"] in ports or asked["port"] in ports.values(), f"{name} {kind}"
        ready, live = container["readinessProbe"], container["livenessProbe"]
        # Readiness of these programs depends on others; that must not be what restarts them.
        assert {key: ready.get(key) for key in ("httpGet", "grpc")} != {
            key: live.get(key) for key in ("httpGet", "grpc")
        }
        assert live["periodSeconds"] * live.get("failureThreshold", 3) >= 60, name


def test_pods_are_spread_and_not_all_are_disrupted_at_once(rendered):
    budgets = [thing for thing in rendered if thing["kind"] == "PodDisruptionBudget"]
    for workload in workloads(rendered):
        labels, name = workload["spec"]["template"]["metadata"]["labels"], named(workload)
        assert [budget for budget in budgets if matches(budget["spec"]["selector"], labels)], f"{name} has no budget"
        spread = pod(workload)["topologySpreadConstraints"]
        assert spread and all(matches(rule["labelSelector"], labels) for rule in spread), name
        assert matches(workload["spec"]["selector"], labels), name


def test_a_pod_has_the_time_that_its_drain_takes(rendered):
    for workload, container in ours(rendered):
        values = {variable["name"]: variable.get("value") for variable in container["env"]}
        drain = sum(
            seconds(values[name])
            for name in ("COURANT_LAME_DUCK", "COURANT_DRAIN", "COURANT_DRAIN_GRACE")
            if name in values
        )
        # A worker then has 5 s to stop a task, and 5 s for its last reports.
        drain += int(values.get("COURANT_GRACE_SECONDS", "0")) + 10
        assert pod(workload)["terminationGracePeriodSeconds"] >= drain, named(workload)


def test_nothing_is_reached_that_no_policy_names(rendered):
    policies = {thing["metadata"]["name"]: thing["spec"] for thing in rendered if thing["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    by_labels = [
        (workload["spec"]["template"]["metadata"]["labels"], pod(workload)["containers"][0])
        for workload in workloads(rendered)
    ]
    for name, policy in policies.items():
        chosen = [container for labels, container in by_labels if matches(policy["podSelector"], labels)]
        assert chosen, f"{name} chooses no pod"
        for rule in policy.get("ingress", []):
            for port in rule["ports"]:
                for container in chosen:
                    known = {port["name"] for port in container["ports"]}
                    assert port["port"] in known, f"{name} lets in to {port['port']}, which {container['name']} has not"
    open_egress = [rule for policy in policies.values() for rule in policy.get("egress", []) if not rule.get("to")]
    assert not open_egress


def test_services_choose_pods_and_ports_that_exist(rendered):
    for service in (thing for thing in rendered if thing["kind"] == "Service"):
        chosen = [
            workload
            for workload in workloads(rendered)
            if matches({"matchLabels": service["spec"]["selector"]}, workload["spec"]["template"]["metadata"]["labels"])
        ]
        assert chosen, named(service)
        for workload in chosen:
            names = {port["name"] for port in pod(workload)["containers"][0]["ports"]}
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= names, named(service)


def test_keda_scales_the_workers_by_the_servers_answer(rendered):
    (scaled,) = [thing for thing in rendered if thing["kind"] == "ScaledObject"]
    (workers,) = [thing for thing in rendered if named(thing) == "Deployment courant-worker"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == "courant-worker" and "replicas" not in workers["spec"]
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    host, port = metadata["scalerAddress"].split(":")
    (service,) = [thing for thing in rendered if named(thing) == "Service courant-server"]
    assert host == f"courant-server.{service['metadata']['namespace']}.svc"
    assert int(port) in [port["port"] for port in service["spec"]["ports"]]
    values = {variable["name"]: variable.get("value") for variable in pod(workers)["containers"][0]["env"]}
    assert metadata["slotsPerWorker"] == values["COURANT_SLOTS"]


def local(value, mounts, folder):
    """A path in the container, or a URL, as one of this machine."""
    inside = re.compile("|".join(map(re.escape, mounts)))
    return inside.sub(lambda mount: str(folder / mount[0].strip("/").replace("/", "-")), value)


def test_the_programs_take_the_configuration_that_they_are_given(rendered, tmp_path):
    for workload, container in ours(rendered):
        (program,) = container["command"]
        shown = subprocess.run(
            [BINARIES / program, "--help"], capture_output=True, text=True, env=clean_environment(), check=True
        ).stdout
        mounts = sorted((mount["mountPath"] for mount in container["volumeMounts"]), key=len, reverse=True)
        folder = tmp_path / named(workload).replace(" ", "-")
        for mount in mounts:
            inside = folder / mount.strip("/").replace("/", "-")
            inside.mkdir(parents=True)
            for file in ("secret", "key", "password", "system-password"):
                (inside / file).write_text("0123456789abcdef" * 4)
                (inside / file).chmod(0o600)
            (inside / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
        environment = {}
        for variable in container["env"]:
            name = variable["name"]
            assert not name.startswith("COURANT_") or name in LATER or name in shown, f"{program} does not know {name}"
            environment[name] = local(variable.get("value", "pod-1"), mounts, folder)
        done = subprocess.run(
            [BINARIES / program, "--check-config"],
            capture_output=True,
            text=True,
            env=clean_environment() | environment,
        )
        assert done.returncode == 0, done.stderr


def with_component(component, folder):
    """The objects of an overlay of one's own, by name."""
    shutil.copytree(MANIFESTS, folder / "kubernetes")
    overlay = folder / "kubernetes/overlays/mine"
    overlay.mkdir()
    text = f"namespace: courant\nresources: [../single-node]\ncomponents: [../../components/{component}]\n"
    (overlay / "kustomization.yaml").write_text(text)
    return {named(thing): thing for thing in render(overlay)}


def test_traces_go_to_a_collector_and_nowhere_else(tmp_path):
    things = with_component("otlp", tmp_path)
    policy = things["NetworkPolicy otlp"]
    assert policy["metadata"]["namespace"] == "courant"
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(policy, version, strict=True)
    (rule,) = policy["spec"]["egress"]
    (where,), (port,) = rule["to"], rule["ports"]
    namespace = where["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    sent = [container for _, container in ours(things.values())]
    assert len(sent) == 3
    for container in sent:
        (endpoint,) = [one["value"] for one in container["env"] if one["name"] == "COURANT_OTLP_ENDPOINT"]
        assert re.fullmatch(rf"http://\S+\.{namespace}\.svc:{port['port']}", endpoint), endpoint


def test_programs_take_the_files_of_their_config_maps(tmp_path):
    things = with_component("config-file", tmp_path)
    maps = {thing["metadata"]["name"]: thing for thing in things.values() if thing["kind"] == "ConfigMap"}
    assert len(maps) == 3
    for workload, container in ours(things.values()):
        (volume,) = [one for one in pod(workload)["volumes"] if one["name"] == "config"]
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "config"]
        (file,) = [one["value"] for one in container["env"] if one["name"] == "COURANT_CONFIG"]
        data = maps[volume["configMap"]["name"]]["data"]
        assert file.startswith(mount["mountPath"] + "/")
        written = tmp_path / file.rsplit("/", 1)[1]
        written.write_text(data[written.name])
        (tmp_path / "secret").write_text("0123456789abcdef" * 4)
        (tmp_path / "secret").chmod(0o600)
        (program,) = container["command"]
        flags = ["--config", written, "--secret-file", tmp_path / "secret", "--check-config"]
        done = subprocess.run([BINARIES / program, *flags], capture_output=True, text=True, env=clean_environment())
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("component", ["seccomp", "prometheus-operator"])
def test_components_can_be_added_to_an_overlay(component, tmp_path):
    kinds = with_component(component, tmp_path)
    if component == "seccomp":
        profile = pod(kinds["Deployment courant-worker"])["securityContext"]["seccompProfile"]
        assert profile == {"type": "Localhost", "localhostProfile": "profiles/courant-worker.json"}
    else:
        assert kinds["PodMonitor courant"]["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"


def test_nats_takes_its_configuration(tmp_path):
    folder = pathlib.Path(shutil.copytree(MANIFESTS / "nats", tmp_path / "nats"))
    (folder / "secret").mkdir()
    (folder / "accounts.conf.example").rename(folder / "secret/accounts.conf")
    server = ROOT / "tests/.venv/bin/nats-server"
    done = subprocess.run(
        [server, "-t", "-c", folder / "nats.conf"], capture_output=True, text=True, env={"POD": "courant-nats-0"}
    )
    assert done.returncode == 0, done.stderr
    text = (folder / "nats.conf").read_text()
    (nats,) = [
        thing
        for thing in RENDERED.get("nats-cluster", render(MANIFESTS / "overlays/nats-cluster"))
        if named(thing) == "StatefulSet courant-nats"
    ]
    claim = nats["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    stored = int(re.search(r"max_file_store: (\d+)GB", text)[1])
    assert stored < int(claim.removesuffix("Gi")), "the volume must be larger than what NATS may write"
