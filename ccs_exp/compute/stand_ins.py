"""What a library gets that asks for a class or function of a module that need not be run yet."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Union


class StandIn:
    """The class or function `name` of `module` as soon as it is called, subclassed or looked into, which runs the module.

    Nothing can be of a class whose module was not run, and that is said without running it.
    """

    def __init__(self, module: str, name: str):
        self._module, self._name = module, name
        self.__name__ = self.__qualname__ = name

    def _itself(self) -> Any:
        return getattr(import_module(self._module), self._name)

    def _if_run(self) -> Any:
        module = sys.modules.get(self._module)
        return vars(module).get(self._name, ()) if module else ()  # vars: looking there runs nothing

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._itself()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of those who ask what kind of thing it is, as annotations do
            raise AttributeError(name)
        return getattr(self._itself(), name)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._itself(),)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._if_run())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._if_run())

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007  # types alone have the other way of writing it

    __ror__ = __or__


def not_compiled(function: Any, recursive: bool = True, **more: Any) -> Any:
    """In place of `torch._dynamo.disable`: as long as the compiler was not run there is nothing to keep it from."""
    if not isinstance(function, FunctionType):
        return _compiler().disable(function, recursive, **more)
    itself: Callable[..., Any] | None = None

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        nonlocal itself
        if type(_compiler()) is not ModuleType:
            return function(*arguments, **named)
        itself = itself or _compiler().disable(function, recursive, **more)
        return itself(*arguments, **named)

    return called


def _compiler() -> Any:
    return sys.modules["torch._dynamo"]
