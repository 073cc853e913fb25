"""What the API server refuses of Jobs and CronJobs."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulation.api_server.causes import invalid, not_negative, required, unsupported
from tests.simulation.api_server.errors import DUPLICATE, Cause
from tests.simulation.api_server.metadata import qualified_name
from tests.simulation.api_server.pod_rules import pod_template
from tests.simulation.api_server.selectors import selects
from tests.simulation.api_server.typed import same

Manifest = dict[str, Any]

_IMMUTABLE_JOB = ("selector", "template", "completionMode", "podFailurePolicy", "managedBy", "successPolicy")


def job(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec = manifest["spec"]
    causes = _generated_labels(manifest) + _job_spec(spec, "spec")
    if old is not None:
        causes += _job_update(spec, old["spec"])
    return causes


def _generated_labels(manifest: Manifest) -> list[Cause]:
    if manifest["spec"].get("manualSelector") or manifest["spec"].get("selector") is None:
        return []
    labels = manifest["spec"]["template"]["metadata"].get("labels") or {}
    causes = []
    for prefix in ("", "batch.kubernetes.io/"):
        for name, value in (
            ("controller-uid", manifest["metadata"]["uid"]),
            ("job-name", manifest["metadata"]["name"]),
        ):
            found = labels.get(prefix + name)
            path = f"spec.template.metadata.labels[{prefix}{name}]"
            if found is None:
                causes.append(required(path, f"must be '{value}'"))
            elif found != value:
                causes.append(invalid(path, labels, f"must be '{value}'"))
    selector = (manifest["spec"].get("selector") or {}).get("matchLabels") or {}
    if selector.get("batch.kubernetes.io/controller-uid", manifest["metadata"]["uid"]) != manifest["metadata"]["uid"]:
        causes.append(invalid("spec.selector", selector, "`selector` not auto-generated"))
    return causes


def _job_spec(spec: Manifest, path: str, *, needs_selector: bool = True) -> list[Cause]:
    causes = not_negative(
        spec,
        path,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    )
    mode = spec.get("completionMode", "NonIndexed")
    if mode not in ("NonIndexed", "Indexed"):
        causes.append(unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    policy = spec.get("podReplacementPolicy")
    if "podFailurePolicy" in spec:
        causes += _failure_policy(spec, f"{path}.podFailurePolicy")
        if policy not in (None, "Failed"):
            causes.append(unsupported(f"{path}.podReplacementPolicy", policy, ("Failed",)))
    elif policy not in (None, "Failed", "TerminatingOrFailed"):
        causes.append(unsupported(f"{path}.podReplacementPolicy", policy, ("Failed", "TerminatingOrFailed")))
    causes += pod_template(spec["template"], f"{path}.template")
    causes += _restart_policy(spec, f"{path}.template.spec.restartPolicy")
    if needs_selector and not selects(spec.get("selector") or {}, spec["template"]["metadata"].get("labels") or {}):
        labels = spec["template"]["metadata"].get("labels")
        causes.append(
            invalid(f"{path}.template.metadata.labels", labels, "`selector` does not match template `labels`")
        )
    return causes


def _restart_policy(spec: Manifest, path: str) -> list[Cause]:
    policy = spec["template"]["spec"].get("restartPolicy", "Always")
    if policy == "Always":
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [unsupported(path, policy, ("OnFailure", "Never"))]
    if "podFailurePolicy" in spec and policy != "Never":
        return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _failure_policy(spec: Manifest, path: str) -> list[Cause]:
    causes = []
    for index, rule in enumerate(spec["podFailurePolicy"].get("rules") or ()):
        place = f"{path}.rules[{index}]"
        action = rule.get("action", "")
        if not action:
            causes.append(required(f"{place}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]'))
        elif action not in ("Count", "FailJob", "Ignore", "FailIndex"):
            causes.append(unsupported(f"{place}.action", action, ("Count", "FailIndex", "FailJob", "Ignore")))
        for number, pattern in enumerate(rule.get("onPodConditions") or ()):
            field = f"{place}.onPodConditions[{number}]"
            causes += [invalid(f"{field}.type", pattern["type"], text) for text in qualified_name(pattern["type"])]
            if pattern["status"] not in ("True", "False", "Unknown"):
                causes.append(unsupported(f"{field}.status", pattern["status"], ("False", "True", "Unknown")))
        codes = rule.get("onExitCodes")
        if codes is not None:
            if codes.get("operator") not in ("In", "NotIn"):
                causes.append(unsupported(f"{place}.onExitCodes.operator", codes.get("operator", ""), ("In", "NotIn")))
            if not codes.get("values"):
                causes.append(invalid(f"{place}.onExitCodes.values", [], "at least one value is required"))
            values = codes.get("values") or ()
            causes += [
                Cause(f"{place}.onExitCodes.values[{number}]", f"Duplicate value: {code}", DUPLICATE)
                for number, code in enumerate(values)
                if code in values[:number]
            ]
        if codes is None and not rule.get("onPodConditions"):
            causes.append(invalid(place, "", "specifying one of OnExitCodes and OnPodConditions is required"))
    return causes


def _job_update(spec: Manifest, old: Manifest) -> list[Cause]:
    # Each is immutable in a Job; of a suspended one that never ran more may change, which nobody here does.
    causes = [
        invalid(f"spec.{name}", spec.get(name), "field is immutable")
        for name in _IMMUTABLE_JOB
        if not same(spec.get(name), old.get(name))
    ]
    if spec.get("completionMode") != "Indexed" and spec.get("completions") != old.get("completions"):
        causes.append(invalid("spec.completions", spec.get("completions"), "field is immutable"))
    return causes


def _true(status: Manifest, condition: str) -> bool:
    return any(
        item.get("type") == condition and item.get("status") == "True" for item in status.get("conditions") or ()
    )


def job_status(manifest: Manifest, old: Manifest) -> list[Cause]:
    """What is wrong with a Job's new status. Most rules hold only where it changes."""
    new, before = manifest["status"], old["status"]
    causes = not_negative(new, "status", "active", "succeeded", "failed", "ready", "terminating")
    complete, failed = _true(new, "Complete"), _true(new, "Failed")
    target, met, finished = _true(new, "FailureTarget"), _true(new, "SuccessCriteriaMet"), complete or failed
    was_complete, was_failed = _true(before, "Complete"), _true(before, "Failed")
    ended = finished != (was_complete or was_failed)
    conditions = "status.conditions"

    def changed(*names: str) -> bool:
        return any(not same(new.get(name), before.get(name)) for name in names)

    def refuse(when: bool, field: str, text: str) -> None:
        if when:
            causes.append(Cause(field, f"Invalid value: {text}"))

    completing, failing = complete != was_complete, failed != was_failed
    criteria = completing or met != _true(before, "SuccessCriteriaMet")
    completion, start = new.get("completionTime"), new.get("startTime")
    refuse((completing or failing) and complete and failed, conditions, "cannot set Complete=True and Failed=true")
    refuse(
        (completing or target != _true(before, "FailureTarget")) and complete and target,
        conditions,
        "cannot set Complete=True and FailureTarget=true conditions",
    )
    if completing or changed("completionTime"):
        refuse(
            completion is not None and not complete,
            "status.completionTime",
            "cannot set completionTime when there is no Complete=True condition",
        )
        if completion is None and complete:
            causes.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if changed("startTime", "completionTime"):
        refuse(
            bool(start and completion and completion < start),
            "status.completionTime",
            "must be equal to or after `startTime`",
        )
    refuse(failing and failed and not target, conditions, "cannot set Failed=True without FailureTarget=true")
    refuse(criteria and complete and not met, conditions, "cannot set Complete=True without SuccessCriteriaMet=true")
    refuse(
        (ended or changed("active")) and new.get("active", 0) > 0 and finished,
        "status.active",
        "active>0 is invalid for finished job",
    )
    if (ended or changed("startTime")) and start is None and finished:
        causes.append(required("status.startTime", "startTime is required for finished job"))
    refuse(
        (ended or changed("uncountedTerminatedPods")) and finished and _any_uncounted(new),
        "status.uncountedTerminatedPods",
        "must be empty for finished job",
    )
    refuse(
        (ended or changed("terminating")) and new.get("terminating", 0) > 0 and finished,
        "status.terminating",
        "terminating>0 is invalid for finished job",
    )
    refuse(
        changed("ready", "active") and new.get("ready", 0) > new.get("active", 0),
        "status.ready",
        "cannot set more ready pods than active",
    )
    refuse(met and failed, conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions")
    refuse(met and target, conditions, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    return causes + _job_status_update(manifest, old)


def _any_uncounted(status: Manifest) -> bool:
    uncounted = status.get("uncountedTerminatedPods") or {}
    return bool(uncounted.get("succeeded") or uncounted.get("failed"))


def _job_status_update(manifest: Manifest, old: Manifest) -> list[Cause]:
    """What of a Job's status only goes one way."""
    new, before, causes = manifest["status"], old["status"], []
    for name in ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"):
        if _true(before, name) and not _true(new, name):
            causes.append(
                Cause("status.conditions", f"Invalid value: cannot disable the terminal {name}=True condition")
            )
    for name in ("succeeded", "failed"):
        if new.get(name, 0) < before.get(name, 0) and (
            name == "failed" or manifest["spec"].get("completionMode") != "Indexed"
        ):
            causes.append(invalid(f"status.{name}", new.get(name, 0), f"cannot decrease the {name} counter"))
    suspended = manifest["spec"].get("suspend") or (_true(before, "Suspended") and not _true(new, "Suspended"))
    if before.get("startTime") and new.get("startTime") != before["startTime"] and not suspended:
        causes.append(required("status.startTime", "startTime cannot be removed for unsuspended job"))
    completion, completed = new.get("completionTime"), before.get("completionTime")
    if completion and completed and completion != completed:
        causes.append(invalid("status.completionTime", completion, "field is immutable"))
    return causes


def cron_job(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    spec, causes = manifest["spec"], []
    if old is None and len(manifest["metadata"].get("name", "")) > 52:
        causes.append(invalid("metadata.name", manifest["metadata"]["name"], "must be no more than 52 characters"))
    schedule = spec.get("schedule", "")
    if not schedule:
        causes.append(required("spec.schedule"))
    elif not _is_cron(schedule):
        causes.append(invalid("spec.schedule", schedule, "failed to parse the cron line"))
    if "timeZone" in spec and (old is None or old["spec"].get("timeZone") != spec["timeZone"]):
        causes += _time_zone(spec["timeZone"])
    causes += not_negative(
        spec, "spec", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"
    )
    policy = spec.get("concurrencyPolicy", "")
    if policy not in ("Allow", "Forbid", "Replace"):
        causes.append(
            unsupported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace"))
            if policy
            else required("spec.concurrencyPolicy")
        )
    inner = spec["jobTemplate"]["spec"]
    if inner.get("manualSelector"):
        causes.append(unsupported("spec.jobTemplate.spec.manualSelector", True, ("nil", "false")))
    return causes + _job_spec(inner, "spec.jobTemplate.spec", needs_selector=False)


def _time_zone(zone: str) -> list[Cause]:
    field = "spec.timeZone"
    if not zone:
        return [invalid(field, zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            invalid(field, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
        ]
    try:
        ZoneInfo(zone)
    except (ValueError, OSError):
        return [invalid(field, zone, f"unknown time zone {zone}")]
    except LookupError:
        return [invalid(field, zone, f"unknown time zone {zone}")]
    return []


_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = (
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def _is_cron(schedule: str) -> bool:
    if schedule in _DESCRIPTORS or re.fullmatch(r"@every [0-9hms.]+", schedule):
        return True
    parts = schedule.split()
    return len(parts) == 5 and all(map(_is_cron_field, parts, range(5)))


def _is_cron_field(text: str, place: int) -> bool:
    low, high = _CRON_RANGES[place]
    for item in text.split(","):
        span, slash, step = item.partition("/")
        if slash and not (step.isdigit() and int(step) > 0):
            return False
        if span in ("*", "?"):
            continue
        ends = [_cron_number(end, place) for end in span.split("-")]
        if len(ends) > 2 or any(end is None or not low <= end <= high for end in ends):
            return False
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            return False
    return True


def _cron_number(text: str, place: int) -> int | None:
    if text.isdigit():
        return int(text)
    months, days = _NAMES
    if place == 3 and text.upper() in months:
        return months.index(text.upper()) + 1
    return days.index(text.upper()) if place == 4 and text.upper() in days else None
