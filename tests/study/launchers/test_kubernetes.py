"""The manifest of a Kubernetes Job, against the interface's own schema; no cluster is asked."""

import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from eradio.errors import EradioError
from eradio.study.launchers import records
from eradio.study.launchers.base import Job, Resources, launched_by
from eradio.study.launchers.kubernetes import KubernetesLauncher, read_answer
from eradio.study.launchers.manifest import object_name
from tests.contracts.launcher import SECRET, RenderingContract

VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
OPTIONS = ("--image=registry/eradio:1", "--claim=shared", "--secret=storage")


class TestKubernetes(RenderingContract):
    @pytest.fixture
    def launcher(self):
        return KubernetesLauncher()

    @pytest.fixture
    def resources(self):
        return Resources(options=OPTIONS, notice_seconds=5)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_every_object_is_what_the_interface_takes_and_has_no_unknown_field(self, launcher, plain, version):
        more = (*OPTIONS, "--size=20Gi", "--class=fast", "--namespace=research")
        asked = Resources(gpus=2, cpus=8, memory_mb=32768, minutes=600, options=more)
        objects = _objects(launcher, plain.model_copy(update={"resources": asked}))
        assert [one["kind"] for one in objects] == ["PersistentVolumeClaim", "ConfigMap", "Job"]
        for one in objects:
            kubernetes_validate.validate(one, version, strict=True)

    def test_the_schema_would_notice(self, launcher, plain):
        (_, job) = _objects(launcher, plain)
        job["spec"]["podFailurePolicy"]["rule"] = []
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(job, VERSIONS[-1], strict=True)

    def test_workers_are_numbered_and_see_the_run_folder_and_the_study(self, launcher, job, monkeypatch):
        monkeypatch.chdir(job.folder)
        real = records.worker_job("kubernetes", "My_Study", job.config, job.run, 5, job.resources)
        config, one = _objects(launcher, real)
        spec, pod = one["spec"], one["spec"]["template"]["spec"]
        (worker,) = pod["containers"]
        assert re.fullmatch("eradio-my-study-kubernetes-1-[0-9a-f]{6}", one["metadata"]["name"])
        assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 5, 5)
        study, run = "/study/study.yaml", "/runs/run"
        assert worker["command"][-8:] == ["python", "-m", "eradio", "worker", "--config", study, "--out", run]
        assert str(job.folder) not in " ".join(worker["command"])
        assert yaml.safe_load(config["data"]["study.yaml"]) == {"name": "mine", "trials": 3}
        assert {mount["mountPath"] for mount in worker["volumeMounts"]} == {"/runs", "/study"}

    def test_a_study_s_file_of_any_name_is_found(self, launcher, job, monkeypatch):
        monkeypatch.chdir(job.folder)
        odd = job.config.rename(job.config.with_name("größer (2).yml"))
        config, one = _objects(launcher, records.worker_job("kubernetes", "mine", odd, job.run, 1, job.resources))
        (worker,) = one["spec"]["template"]["spec"]["containers"]
        assert list(config["data"]) == ["study.yaml"]
        assert "/study/study.yaml" in worker["command"]

    def test_a_short_time_limit_is_the_job_s(self, launcher, plain):
        asked = Resources(minutes=5, options=OPTIONS)
        assert launcher.check(plain.model_copy(update={"resources": asked})) == []

    def test_what_kubernetes_refuses_leaves_nothing_behind(self, launcher, plain, monkeypatch):
        (plain.folder / "kubectl").write_text("#!/bin/sh\necho forbidden >&2\nexit 1\n")
        (plain.folder / "kubectl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{plain.folder}:/usr/bin:/bin")
        with pytest.raises(EradioError, match="kubectl said: forbidden"):
            records.begin("kubernetes", plain)
        assert not plain.logs.exists()

    def test_gpus_and_memory_are_asked_for(self, launcher, plain):
        asked = Resources(gpus=2, cpus=8, memory_mb=1024, options=OPTIONS)
        (*_, job) = _objects(launcher, plain.model_copy(update={"resources": asked}))
        (worker,) = job["spec"]["template"]["spec"]["containers"]
        wanted = {"cpu": "8", "memory": "1024Mi", "nvidia.com/gpu": "2"}
        assert worker["resources"] == {"requests": wanted, "limits": wanted}

    def test_how_a_worker_ended_decides_whether_it_is_tried_again(self, launcher, plain):
        (*_, job) = _objects(launcher, plain)
        rules = job["spec"]["podFailurePolicy"]["rules"]
        codes = {code: rule["action"] for rule in rules for code in rule.get("onExitCodes", {}).get("values", ())}
        assert codes == {75: "Ignore", 143: "Ignore", 1: "FailIndex", 2: "FailIndex"}
        assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
        pod = job["spec"]["template"]["spec"]
        assert pod["restartPolicy"] == "Never"
        assert pod["terminationGracePeriodSeconds"] > plain.rules.patience

    def test_variables_come_from_a_secret(self, launcher, plain):
        (*_, job) = _objects(launcher, plain.model_copy(update={"environment": ("ERADIO_STORAGE", "PGPASSWORD")}))
        (worker,) = job["spec"]["template"]["spec"]["containers"]
        given = {one["name"]: one.get("valueFrom") for one in worker["env"] if "valueFrom" in one}
        assert given == {
            name: {"secretKeyRef": {"name": "storage", "key": name}} for name in ("ERADIO_STORAGE", "PGPASSWORD")
        }

    @pytest.mark.parametrize(
        "text",
        [
            f"storage: postgresql://me:{SECRET}@host/db\n",
            f"storage: postgresql://me:{SECRET}/b@host/db\n",
            f"storage: 'postgresql://me:{SECRET} b@host/db'\n",
            f"storage: postgresql://host/db?password={SECRET}\n",
            f"trials: 3  # was at postgresql://me:{SECRET}@host/db\n",
        ],
    )
    def test_a_study_with_a_password_is_refused_and_never_shown(self, launcher, plain, text):
        plain.config.write_text(text)
        (wrong,) = launcher.check(plain)
        assert "password" in wrong
        assert SECRET not in wrong
        with pytest.raises(EradioError, match="holds a password"):
            launcher.render(plain)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ((), "--image"),
            (("--image=a",), "--claim"),
            (("--image=a", "--claim=b", "--colour=red"), "--colour=red"),
            (("--image=a b", "--claim=b"), "--image=a b"),
            (("--image=a", "--claim=B_"), "--claim=B_"),
        ],
    )
    def test_options_are_checked(self, launcher, plain, options, said):
        asked = plain.model_copy(update={"resources": Resources(options=options), "environment": None})
        assert any(said in sentence for sentence in launcher.check(asked))
        with pytest.raises(EradioError, match=r"--"):
            launcher.render(asked)

    def test_without_kubectl_it_says_what_to_do(self, launcher, plain, monkeypatch):
        monkeypatch.setenv("PATH", str(plain.folder))
        (sentence,) = launcher.missing()
        assert "--dry-run" in sentence
        with pytest.raises(EradioError, match="--dry-run"):
            records.begin("kubernetes", plain)

    def test_what_kubectl_is_asked(self, launcher, plain, monkeypatch):
        """A stand-in notes what it is asked, and answers as a cluster with one pod does."""
        answer = {"items": [{"kind": "Job"}, _pod(0, "2026-01-01T00:00:00Z", "Running", running={})]}
        program = f"#!/bin/sh\necho \"$@\" >> asked\ncat <<'END'\n{json.dumps(answer)}\nEND\n"
        (plain.folder / "kubectl").write_text(program)
        (plain.folder / "kubectl").chmod(0o755)
        monkeypatch.setenv("PATH", f"{plain.folder}:/usr/bin:/bin")
        monkeypatch.chdir(plain.folder)
        options = Resources(options=(*OPTIONS, "--namespace=research"))
        launched = records.begin("kubernetes", plain.model_copy(update={"resources": options}))
        assert launched.details == {"object": object_name(launched.job), "namespace": "research"}
        assert [one.state for one in launcher.state(launched)] == ["running", "waiting", "waiting"]
        launcher.stop(launched, 30)
        asked = [line.removeprefix("--namespace research ") for line in Path("asked").read_text().splitlines()]
        assert [line.split()[:2] for line in asked] == [
            ["apply", "--filename"],
            ["get", "jobs,pods"],
            ["delete", "jobs"],
            ["delete", "configmaps"],
        ]
        assert (plain.logs / "job.yaml").read_text() == launcher.render(launched.job)

    def test_no_two_studies_or_run_folders_share_a_name(self, plain):
        jobs = [
            plain.model_copy(update={"study": study, "run": plain.folder / run})
            for study in ("a_b", "a.b", "Über" * 40)
            for run in ("one", "two")
        ]
        names = [object_name(job) for job in jobs]
        assert len(set(names)) == len(names)
        for name in names:
            assert re.fullmatch("[a-z]([a-z0-9-]{,50}[a-z0-9])", name)
            assert f"-{plain.name}-" in name

    def test_without_an_answer_nothing_is_known(self, launcher, plain, monkeypatch):
        monkeypatch.setenv("PATH", str(plain.folder))
        launched = launched_by("kubernetes", plain, {"object": "eradio-mine-first-1", "namespace": ""})
        assert [one.state for one in launcher.state(launched)] == ["unknown"] * 3
        with pytest.raises(EradioError, match="kubectl is not there"):
            launcher.stop(launched, 1)

    def test_a_variable_of_kubernetes_in_the_command_stays_as_it_is(self, launcher, plain):
        (*_, job) = _objects(launcher, plain.model_copy(update={"command": ("echo", "$(HOME)")}))
        (worker,) = job["spec"]["template"]["spec"]["containers"]
        assert worker["command"][-1] == "$$(HOME)"


def _objects(launcher: KubernetesLauncher, job: Job) -> list[dict]:
    return list(yaml.safe_load_all(launcher.render(job)))


def _pod(number: int, when: str, phase: str, **state) -> dict:
    annotations = {"batch.kubernetes.io/job-completion-index": str(number)}
    return {
        "kind": "Pod",
        "metadata": {"creationTimestamp": when, "annotations": annotations},
        "status": {"phase": phase, "containerStatuses": [{"state": state}]},
    }


def test_the_youngest_pod_says_how_a_worker_is():
    pods = [
        _pod(0, "2026-01-01T00:00:09Z", "Running", running={}),
        _pod(0, "2026-01-01T00:00:01Z", "Failed", terminated={"exitCode": 137, "reason": "OOMKilled"}),
        _pod(1, "2026-01-01T00:00:01Z", "Failed", terminated={"exitCode": 1, "reason": "Error"}),
        _pod(2, "2026-01-01T00:00:01Z", "Pending", waiting={"reason": "ImagePullBackOff"}),
    ]
    states = read_answer({"items": [{"kind": "Job"}, *pods]}, 4)
    assert [(one.state, one.status) for one in states] == [
        ("running", None),
        ("ended", 1),
        ("waiting", None),
        ("waiting", None),
    ]
    assert "ImagePullBackOff" in states[2].words


def test_without_a_job_all_have_ended():
    assert [one.state for one in read_answer({"items": []}, 2)] == ["ended", "ended"]
