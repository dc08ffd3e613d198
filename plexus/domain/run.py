"""A run: a named stretch of time of one source (a flight, a test, a thermal cycle)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from plexus.domain.values import Value, is_number

RunStatus = Literal["running", "completed", "aborted"]

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
"""What a criterion may compare with."""


@attrs.frozen
class Criterion:
    """One condition that every sample of a metric inside the run has to satisfy, for the run to pass.

    Attributes:
        metric: the metric's name.
        operator: of OPERATORS.
        value: what each sample is compared with.
        label: what people call the condition.
    """

    metric: str
    operator: str
    value: float
    label: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As it travels."""
        label = {"label": self.label} if self.label else {}
        return {"metric": self.metric, "operator": self.operator, "value": self.value, **label}

    def holds(self, sample: Value) -> bool:
        """Whether one sample satisfies it; what is no number, or NaN, satisfies none but `!=`."""
        if not is_number(sample):
            return self.operator == "!="
        return OPERATORS[self.operator](sample, self.value)


@attrs.frozen
class CriterionResult:
    """One criterion with what became of it."""

    metric: str
    operator: str
    value: float
    label: str
    passed: bool


@attrs.frozen
class Judgement:
    """The judgement of a run: passed when every criterion is."""

    passed: bool
    criteria_results: Sequence[CriterionResult]


@attrs.frozen
class Run:
    """One run.

    Attributes:
        run_id: unique within the organisation.
        name: what people call it; 0.5.2 devices use the id as the name.
        source_id: the source it was recorded on; None for a run of the whole organisation.
        status: "running", "completed" or "aborted".
        started_ms / ended_ms: milliseconds since 1970 UTC; `ended_ms` is None while it runs.
        tags, metadata: as the device gave them.
        pass_criteria: what its data is judged by when it ends; none: it is not judged.
        test_result: how a reader finds it judged; None while it runs, where it has no criteria, and in what is stored.
    """

    run_id: str
    name: str
    source_id: str | None
    status: RunStatus
    started_ms: float
    ended_ms: float | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    pass_criteria: Sequence[Criterion] = ()
    test_result: Judgement | None = None
