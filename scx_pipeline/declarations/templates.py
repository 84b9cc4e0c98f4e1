"""Template expressions in a declaration, as Dagster evaluates them: `{{ env.NAME }}` and template variables.

What the resulting values mean does not belong here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from scx_pipeline.errors import DeclarationError
from scx_pipeline.settings import environment

Location = Sequence[str | int]
ErrorAt = Callable[[Location, str], DeclarationError]


class EnvironmentScope:
    """What `env` is in a template: `env.NAME`, or `env('NAME', 'default')`."""

    def __call__(self, name: str, default: str | None = None) -> str:
        value = environment().get(name, default)
        if value is None:
            raise DeclarationError(f"the environment variable {name} is not set")
        return value

    def __getattr__(self, name: str) -> str:
        if name.startswith(("jinja", "__")):  # Jinja looks for attributes of its own
            raise AttributeError(name)
        return self(name)


def render(value: Any, scope: Mapping[str, Any], error_at: ErrorAt, location: Location = ()) -> Any:
    """Return a declaration with the values of its template expressions.

    Args:
        scope: the template variables, by name.
        error_at: returns the error for a location in the declaration and a message.
    """
    if isinstance(value, dict):
        return {key: render(item, scope, error_at, (*location, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope, error_at, (*location, at)) for at, item in enumerate(value)]
    if not isinstance(value, str) or "{{" not in value:
        return value
    from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError
    from jinja2.nativetypes import NativeEnvironment

    try:
        result: object = NativeEnvironment(undefined=StrictUndefined).from_string(value).render(scope)
        if isinstance(result, Undefined):  # an unknown name as the whole text is returned, not evaluated
            raise UndefinedError(result._undefined_message)
        return result
    except (TemplateError, DeclarationError) as error:
        raise error_at(location, f"{value}: {error}") from None
    except Exception as error:  # a template variable is any Python code
        raise error_at(location, f"{value}: {type(error).__name__}: {error}") from None


def template_scope(module_name: str | None, folder: Path) -> dict[str, Any]:
    """Return what templates can use outside Dagster: `env`, and the variables of the star's `template_vars_module`.

    Variables that need Dagster's context are left out.
    """
    scope: dict[str, Any] = {"env": EnvironmentScope()}
    if module_name:
        from dagster.components.component.template_vars import find_inline_template_vars_in_module

        try:
            module = _import(module_name, folder)
        except Exception as error:  # the module is any Python code
            raise DeclarationError(
                f"{folder}: template_vars_module {module_name} cannot be imported ({type(error).__name__}: {error})"
            ) from None
        for name, function in find_inline_template_vars_in_module(module).items():
            if not function.__code__.co_argcount:
                scope[name] = function()
    return scope


def _import(name: str, folder: Path) -> ModuleType:
    """Import a module: below the star's folder if its name begins with a dot."""
    if not name.startswith("."):
        return importlib.import_module(name)
    path = folder / f"{name[1:].replace('.', '/')}.py"
    spec = spec_from_file_location(f"_star_{folder.name}{name.replace('.', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
