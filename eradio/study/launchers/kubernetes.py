"""Workers as one Kubernetes Job, from a manifest that other tools can take as well."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import yaml

from eradio.description import read_yaml
from eradio.errors import EradioError
from eradio.files import write_atomically
from eradio.study.address import has_password
from eradio.study.launchers.base import Job, Launched, WorkerState, launched_by, usual_checks
from eradio.study.launchers.manifest import LABEL, manifests, object_name

_OPTIONS = {
    "image": (r"[\w./:@-]+", "the container image with eradio in it"),
    "claim": (r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "the PersistentVolumeClaim that holds run folders"),
    "secret": (r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "the Secret whose keys are the variables that workers get"),
    "namespace": (r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "the namespace"),
    "size": (r"[0-9]+(Ki|Mi|Gi|Ti)", "make the claim, of this size"),
    "class": (r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", "the storage class of a claim that is made"),
    "gpu": (r"[a-z0-9.-]+/[a-z0-9.-]+", "the resource that a GPU is called, if not nvidia.com/gpu"),
}
_NEEDED = ("image", "claim")
_TIMEOUT_SECONDS = 600
_PHASES: dict[str, Literal["waiting", "running", "ended"]] = {
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "ended",
    "Failed": "ended",
}


class KubernetesLauncher:
    """Writes the manifest of a Job, and applies it with kubectl."""

    name = "kubernetes"

    def check(self, job: Job) -> list[str]:
        """What cannot be had, as sentences; applies nothing."""
        wrong = usual_checks(job)
        try:
            given = _options(job)
        except EradioError as error:
            return [*wrong, str(error)]
        for name in _NEEDED:
            if name not in given:
                wrong.append(f"Give --{name}=..., {_OPTIONS[name][1]}, among the options.")
        if job.environment and "secret" not in given:
            wrong.append(
                f"Give --secret=NAME, the Secret with the keys {', '.join(job.environment)}, among the options: their "
                "values do not go into a manifest."
            )
        for what, value in (("partition", job.resources.partition), ("account", job.resources.account)):
            if value is not None:
                wrong.append(f"Kubernetes has no {what}. Leave it out; a namespace is the option --namespace=NAME.")
        try:
            if job.config is not None and job.config.is_file():
                _refuse_password_in(job.config)
        except EradioError as error:
            wrong.append(str(error))
        return wrong

    def missing(self) -> list[str]:
        """What this machine lacks to apply any manifest, as sentences."""
        if shutil.which("kubectl") is not None:
            return []
        return ["There is no kubectl here. Write the manifest with --dry-run, and apply it where kubectl is."]

    def render(self, job: Job) -> str:
        """Exactly what `launch` would apply, as YAML.

        Raises:
            EradioError: an option is not known, or one that is needed is missing; the study's file holds a password.
        """
        given = _options(job)
        if job.config is not None:
            _refuse_password_in(job.config)
        if lacking := [f"--{name}" for name in _NEEDED if name not in given]:
            raise EradioError(f"A manifest needs the options {' and '.join(lacking)}. Give them.")
        return yaml.safe_dump_all(manifests(job, given), sort_keys=False, width=120)

    def launch(self, job: Job) -> Launched:
        """Apply the manifest.

        Raises:
            EradioError: kubectl refused.
        """
        path = job.logs / "job.yaml"
        write_atomically(path, lambda temporary: temporary.write_text(self.render(job), encoding="utf-8"))
        namespace = _options(job).get("namespace", "")
        try:
            _kubectl(namespace, "apply", "--filename", str(path))
        except EradioError:
            path.unlink()  # so that nothing is left of a launch that never was
            raise
        return launched_by("kubernetes", job, {"object": object_name(job), "namespace": namespace})

    def state(self, launched: Launched) -> list[WorkerState]:
        """How each worker is, from its pods."""
        name, namespace, count = launched.details["object"], launched.details["namespace"], launched.job.workers
        try:
            said = _kubectl(namespace, "get", "jobs,pods", "--selector", f"{LABEL}={name}", "--output", "json")
        except EradioError as error:
            return [WorkerState(number=number, state="unknown", words=str(error)) for number in range(count)]
        return read_answer(json.loads(said), count)

    def stop(self, launched: Launched, patience: float) -> None:
        """Take the Job back: its workers are asked to keep what they did, and ended after their grace period.

        Raises:
            EradioError: there is no kubectl, or it refused.
        """
        name, namespace = launched.details["object"], launched.details["namespace"]
        ours = ("--selector", f"{LABEL}={name}", "--ignore-not-found")
        try:
            # With its pods: they are told first, and each has its own grace period.
            _kubectl(
                namespace, "delete", "jobs", *ours, "--cascade=foreground", f"--timeout={max(1, round(patience))}s"
            )
        except EradioError:
            _kubectl(namespace, "delete", "pods", *ours, "--grace-period=1", "--wait=false")
        _kubectl(namespace, "delete", "configmaps", *ours)


def read_answer(answer: dict[str, Any], count: int) -> list[WorkerState]:
    """States from `kubectl get jobs,pods --output json`; the youngest pod of each number says how it is."""
    if not any(item["kind"] == "Job" for item in answer["items"]):
        gone = "Kubernetes has no Job for it: it was stopped, or removed."
        return [WorkerState(number=number, state="ended", words=gone) for number in range(count)]
    found: dict[int, WorkerState] = {}
    pods = [item for item in answer["items"] if item["kind"] == "Pod"]
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["creationTimestamp"])):
        index = pod["metadata"].get("annotations", {}).get("batch.kubernetes.io/job-completion-index", "")
        if index.isdigit():
            found[int(index)] = _pod_state(int(index), pod["status"])
    none = "Kubernetes has not made its pod yet."
    return [found.get(n) or WorkerState(number=n, state="waiting", words=none) for n in range(count)]


def _pod_state(number: int, status: dict[str, Any]) -> WorkerState:
    containers = status.get("containerStatuses") or [{}]
    end = containers[0].get("state", {}).get("terminated") or {}
    wait = containers[0].get("state", {}).get("waiting") or {}
    words = status.get("message") or wait.get("message") or end.get("reason") or wait.get("reason") or ""
    return WorkerState(
        number=number,
        state=_PHASES.get(status.get("phase", ""), "unknown"),
        status=end.get("exitCode"),
        words=f"Kubernetes says {words}." if words else "",
    )


def _options(job: Job) -> dict[str, str]:
    """The job's options by name.

    Raises:
        EradioError: one of them is not known, or its value is not valid.
    """
    found = {}
    for option in job.resources.options:
        name, equals, value = option.removeprefix("--").partition("=")
        if not option.startswith("--") or not equals or name not in _OPTIONS:
            known = ", ".join(f"--{one}=..." for one in _OPTIONS)
            raise EradioError(f"{option!r} is no option of the launcher kubernetes. Choose among {known}.")
        if not re.fullmatch(_OPTIONS[name][0], value, re.ASCII):
            raise EradioError(f"{option!r} does not name {_OPTIONS[name][1]}. Correct it.")
        found[name] = value
    return found


def _refuse_password_in(config: Path) -> None:
    """Refuse a study's file that is not for all to read.

    Raises:
        EradioError: its `storage`, or any other word of it, such as one in a comment, holds a password.
    """
    plain = read_yaml(config)
    storage = plain.get("storage") if isinstance(plain, dict) else None
    if any(has_password(word) for word in (str(storage or ""), *config.read_text(encoding="utf-8").split())):
        raise EradioError(
            f"{config} holds a password, which would stand in a ConfigMap for all to read. Take it out, and put the "
            "storage's whole address under the key ERADIO_STORAGE of a Secret."
        )


def _kubectl(namespace: str, *arguments: str) -> str:
    own = ["--namespace", namespace] if namespace else []
    try:
        said = subprocess.run(
            ["kubectl", *own, *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise EradioError("kubectl is not there or does not answer. Run this where it works.") from None
    if said.returncode:
        words = (said.stderr.strip().splitlines() or ["nothing"])[-1]
        raise EradioError(f"kubectl said: {words}. Mend that, then run it again.")
    return said.stdout
