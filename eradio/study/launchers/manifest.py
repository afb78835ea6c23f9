"""A job of workers as Kubernetes objects: plain data, without a cluster and without any secret's value."""

import re
import sys
from pathlib import Path
from typing import Any

from eradio.description import digest_of
from eradio.study.launchers.base import THREADS, Job, supervised
from eradio.study.restarts import ASKED, MEND, PASSING

RUNS, STUDY = "/runs", "/study"
"""Where a pod sees the volume with the run folder, and the study's file."""

_KEY = "study.yaml"
"""What the study's file is called there: its own name may have signs that a ConfigMap's key may not."""

_LONGEST_NAME = 52
"""Of a Job, whose pods get eleven more letters of at most 63."""

LABEL = "eradio/launch"

_USAGE = 2
"""Status of a command line that is not understood: as much the user's to mend as MEND."""

_INDEX = "$(JOB_COMPLETION_INDEX)"


def object_name(job: Job) -> str:
    """The name of the job's objects, in lower-case letters, digits and dashes, as Kubernetes wants them.

    No other study or run folder has the same, though their names may be alike when such letters are all that is left.
    """
    study, own = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in (job.study, job.name))
    start = f"eradio-{study}"[: _LONGEST_NAME - len(own) - 8].strip("-")
    return f"{start}-{own}-{digest_of([job.study, str(job.run)])[:6]}"


def manifests(job: Job, options: dict[str, str]) -> list[dict[str, Any]]:
    """The objects, in the order in which they are to be made.

    Args:
        job: the job.
        options: image, claim, secret, and where wanted namespace, size, class, gpu (see `KubernetesLauncher`).
    """
    name = object_name(job)
    head = {"name": name, "labels": {LABEL: name}}
    if space := options.get("namespace"):
        head["namespace"] = space
    made = [_job(job, options, head)]
    if job.config is not None:
        text = job.config.read_text(encoding="utf-8")
        made.insert(0, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": {_KEY: text}})
    if "size" in options:
        made.insert(0, _claim(options))
    return made


def command(job: Job) -> list[str]:
    """One worker's command line as the pod sees it: its own interpreter, and paths where the pod has them.

    What the worker says goes to the pod's own output, where `kubectl logs` shows it.
    """
    there = job.model_copy(
        update={"run": Path(RUNS, job.run.name), "command": tuple(_in_pod(job, word) for word in job.command)}
    )
    return supervised(there, "python", _INDEX, log=False)


def _job(job: Job, options: dict[str, str], head: dict[str, Any]) -> dict[str, Any]:
    asked = job.resources
    spec: dict[str, Any] = {
        "completionMode": "Indexed",
        "completions": job.workers,
        "parallelism": job.workers,
        "backoffLimitPerIndex": job.rules.deaths,
        "podFailurePolicy": {"rules": _failures()},
        "template": {"metadata": {"labels": head["labels"]}, "spec": _pod(job, options, head["name"])},
    }
    if asked.minutes is not None:
        spec["activeDeadlineSeconds"] = asked.minutes * 60
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": head, "spec": spec}


def _failures() -> list[dict[str, Any]]:
    """What follows from how a worker ended; all other ends count, and are tried again until there are too many."""
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"containerName": "worker", "operator": "In", "values": [PASSING, ASKED]}},
        {"action": "FailIndex", "onExitCodes": {"containerName": "worker", "operator": "In", "values": [MEND, _USAGE]}},
    ]


def _pod(job: Job, options: dict[str, str], name: str) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "runs", "persistentVolumeClaim": {"claimName": options["claim"]}},
    ]
    mounts: list[dict[str, Any]] = [{"name": "runs", "mountPath": RUNS}]
    if job.config is not None:
        volumes.append({"name": "study", "configMap": {"name": name}})
        mounts.append({"name": "study", "mountPath": STUDY, "readOnly": True})
    worker = {
        "name": "worker",
        "image": options["image"],
        "command": command(job),
        "workingDir": RUNS,
        "env": _environment(job, options),
        "resources": _resources(job, options.get("gpu", "nvidia.com/gpu")),
        "volumeMounts": mounts,
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": round(job.rules.patience) + 10,
        "automountServiceAccountToken": False,
        "containers": [worker],
        "volumes": volumes,
    }


def _environment(job: Job, options: dict[str, str]) -> list[dict[str, Any]]:
    threads = [{"name": name, "value": str(job.resources.cpus)} for name in THREADS]
    secret = options.get("secret")
    return [
        *threads,
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
            for name in (job.environment or ("ERADIO_STORAGE",))
            if secret is not None
        ),
    ]


def _resources(job: Job, gpu: str) -> dict[str, Any]:
    asked = job.resources
    limits: dict[str, str] = {"cpu": str(asked.cpus)}
    if asked.memory_mb is not None:
        limits["memory"] = f"{asked.memory_mb}Mi"
    if asked.gpus:
        limits[gpu] = str(asked.gpus)
    # Equal requests and limits: throughputs are measured here, and a neighbour's load would be in them.
    return {"requests": dict(limits), "limits": limits}


def _claim(options: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": options["claim"]}
    if space := options.get("namespace"):
        metadata["namespace"] = space
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": options["size"]}},
    }
    if kind := options.get("class"):
        spec["storageClassName"] = kind
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _in_pod(job: Job, word: str) -> str:
    """A word of the command line with this machine's paths replaced by the pod's."""
    if word == sys.executable:
        return "python"
    if job.config is not None and word == str(job.config):
        return f"{STUDY}/{_KEY}"
    if word == str(job.run):
        return f"{RUNS}/{job.run.name}"
    return word.replace("$(", "$$(")  # Kubernetes fills in variables that stand so
