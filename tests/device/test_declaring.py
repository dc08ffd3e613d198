"""What `@px.command` reads from a function, and which functions it refuses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional

import pytest

from plexus.device.commandruns import CommandRun
from plexus.device.declaring import Typed, declare
from plexus.domain.errors import CommandDeclarationError


def read(handler: Callable[..., Any], params: dict[str, Any] | None = None, **told: Any) -> Typed:
    return declare("dose", handler, params, CommandRun, **told)


def schemas(handler: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.to_wire() for name, parameter in read(handler).declaration.params.items()}


def test_annotations_become_types_and_defaults_make_a_parameter_optional() -> None:
    def dose(ml: int, speed: float = 1.5, *, label: str, dry: bool = False) -> None: ...

    assert schemas(dose) == {
        "ml": {"type": "integer", "required": True},
        "speed": {"type": "number", "default": 1.5, "required": False},
        "label": {"type": "string", "required": True},
        "dry": {"type": "boolean", "default": False, "required": False},
    }


def test_a_literal_is_an_enum() -> None:
    def dose(mode: Literal["fast", "slow"] = "slow") -> None: ...

    assert schemas(dose) == {"mode": {"type": "string", "enum": ["fast", "slow"], "default": "slow", "required": False}}


def test_what_may_be_none_is_not_required() -> None:
    def dose(ml: Optional[int] = None, speed: float | None = None) -> None: ...  # noqa: UP045 - both ways are written

    assert schemas(dose) == {
        "ml": {"type": "integer", "required": False},
        "speed": {"type": "number", "required": False},
    }


def test_annotated_says_what_a_type_cannot() -> None:
    def dose(ml: Annotated[int, {"minimum": 1, "maximum": 8, "unit": "ml"}, "How much", object()]) -> None: ...

    assert schemas(dose) == {
        "ml": {"type": "integer", "description": "How much", "minimum": 1, "maximum": 8, "unit": "ml", "required": True}
    }


def test_params_that_are_given_win_over_annotations() -> None:
    def dose(ml: str) -> None: ...

    typed = read(dose, {"ml": {"type": "integer"}})
    assert typed.declaration.params["ml"].type == "integer"


def test_the_other_fields_are_kept() -> None:
    told: dict[str, Any] = {
        "title": "Dose",
        "description": "Pump",
        "danger": "critical",
        "idempotent": True,
        "expires_in_s": 60.0,
        "concurrency": "reject",
    }
    assert {**read(lambda: None, **told).declaration.to_wire(), **told} == read(
        lambda: None, **told
    ).declaration.to_wire()


@pytest.mark.parametrize("name", ["run", "ctx", "context"])
def test_a_first_parameter_of_such_a_name_gets_the_run(name: str) -> None:
    handler = {
        "run": lambda run: run,
        "ctx": lambda ctx: ctx,
        "context": lambda context: context,
    }[name]
    assert read(handler).wants_run


def test_a_first_parameter_that_is_annotated_as_the_run_gets_it_whatever_its_name() -> None:
    def dose(this: CommandRun, ml: int) -> None: ...

    typed = read(dose)
    assert (typed.wants_run, list(typed.declaration.params)) == (True, ["ml"])


def test_an_annotation_that_exists_for_type_checkers_only_is_known_by_its_name() -> None:
    def dose(this: Any, ml: Any) -> None: ...

    dose.__annotations__ = {"this": "CommandRun", "ml": "int", "other": "OnlyForCheckers"}
    assert read(dose).wants_run


def test_a_parameter_that_is_called_run_and_declared_is_a_parameter() -> None:
    def dose(run: int) -> None: ...

    assert (read(dose).wants_run, list(read(dose).declaration.params)) == (False, ["run"])
    assert not read(dose, {"run": {"type": "integer"}}).wants_run


def test_with_params_given_the_first_parameter_that_is_not_among_them_gets_the_run() -> None:
    assert read(lambda this, ml: None, {"ml": {"type": "integer"}}).wants_run
    assert not read(lambda ml, retries=3: None, {"ml": {"type": "integer"}}).wants_run
    assert not read(lambda retries=3: None, {}).wants_run


def test_methods_partials_and_objects_with_a_call_are_handlers_too() -> None:
    class Pump:
        def dose(self, ml: int) -> None: ...

        def __call__(self, run: CommandRun, ml: int) -> None: ...

    def dose(ml: int, speed: float) -> None: ...

    assert list(read(Pump().dose).declaration.params) == ["ml"]
    assert (read(Pump()).wants_run, list(read(Pump()).declaration.params)) == (True, ["ml"])
    assert schemas(functools.partial(dose, speed=2.0))["speed"]["default"] == 2.0


def test_a_handler_that_takes_anything_by_name_takes_what_is_declared() -> None:
    assert list(read(lambda **params: None, {"ml": {"type": "integer"}}).declaration.params) == ["ml"]


def bare(ml) -> None: ...  # type: ignore[no-untyped-def]  # the missing annotation is what it is for


def listy(ml: list[int]) -> None: ...


def only_by_place(ml: int, /) -> None: ...


@pytest.mark.parametrize(
    ("handler", "params", "why"),
    [
        (7, None, "command 'dose': the handler must be callable"),
        (bare, None, "parameter 'ml': annotate it as int, float, str, bool or a Literal"),
        (listy, None, "parameter 'ml': annotate it"),
        (only_by_place, None, "parameter 'ml' of the handler cannot be given by name"),
        (lambda run, ml: None, {}, "parameter 'ml' of the handler is not declared in params"),
        (lambda: None, {"ml": {"type": "integer"}}, "parameter 'ml' is declared, and the handler does not take it"),
        (lambda ml: None, {"ml": {"type": "integer", "required": False}}, "so the handler must have one"),
        (lambda ml: None, {"ml": {"type": "integer", "min": 1}}, "parameter 'ml': there is no field 'min'"),
        (lambda ml: None, ["ml"], "params must be a dict such as"),
        (lambda ml: None, {"ml": {"type": "integer", "title": "\ud800"}}, "cannot be said in JSON"),
    ],
)
def test_a_function_that_cannot_do_it_is_refused_by_name(handler: Any, params: Any, why: str) -> None:
    with pytest.raises(CommandDeclarationError, match=why) as caught:
        read(handler, params)
    assert str(caught.value).startswith("command 'dose': ")
    assert str(caught.value).count("command ") == 1


def test_a_name_that_breaks_the_rule_is_refused() -> None:
    with pytest.raises(CommandDeclarationError, match="command name 'Dose it' is not valid"):
        declare("Dose it", lambda: None, None, CommandRun)
