"""The user's own code behind a function: its module, and the user's own modules that it imports.

Editing any of them makes another experiment, even if the function itself is unchanged. The standard library and
installed packages do not count: package versions are stored in each record.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import json
import site
import sys
import sysconfig
import textwrap
import types
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

__all__ = ["described", "digest", "modules_of"]

_ITSELF = "zonesearch"
_FILLING = frozenset("add append appendleft clear extend insert pop popleft remove setdefault update".split())  # noqa: SIM905


def digest(data: bytes | str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()[:16]


def modules_of(function: Any) -> dict[str, str]:
    """Digests of the source of the user's own modules behind ``function``, by module name, ascending.

    Imports are found in the source rather than at run time, so those inside functions count too.
    """
    return _behind(str(getattr(_named(function), "__module__", None) or ""))


def _behind(module: str) -> dict[str, str]:
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if not name or name in found or name == "__main__" or name.partition(".")[0] == _ITSELF:
            continue
        path = _file_of(name)
        if path is None or not _is_own(path):
            continue
        try:
            content = path.read_bytes()
        except OSError:
            continue
        found[name] = digest(content)
        parents = name.split(".")[:-1]
        waiting += [".".join(parents[: i + 1]) for i in range(len(parents))]
        if path.suffix == ".py":
            waiting += _imports(content, name, path.name == "__init__.py")
    return dict(sorted(found.items()))


def described(function: Any) -> dict[str, Any]:
    """What distinguishes one user's function from another, as plain JSON values.

    Its name; bound arguments (:func:`functools.partial`) and the attributes of a callable object; digests of its own
    source and of the modules that it imports. For a function defined in a notebook or script, only what it uses there
    counts, not the whole file, so that other lines may change.
    """
    inner, bound = _unbound(function)
    named = _named(inner)
    module = str(getattr(named, "__module__", "") or "")
    name = getattr(named, "__qualname__", type(named).__qualname__)
    modules = modules_of(inner)
    made: dict[str, Any] = {"function": f"{module}:{name}", "source": digest(_source(named))}
    if named is not inner and (state := _plain(getattr(inner, "__dict__", {}))):
        bound["of the object"] = state
    if bound:
        made["bound"] = bound
    if modules:
        made["modules"] = modules
    else:
        made["uses"] = digest(json.dumps(sorted(_used(named).items())))
    return made


def _unbound(function: Any) -> tuple[Any, dict[str, Any]]:
    """The function inside partials, and the arguments that they bind."""
    bound: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        bound = {**{str(i): _plain(value) for i, value in enumerate(function.args)},
                 **{name: _plain(value) for name, value in function.keywords.items()}, **bound}  # fmt: skip
        function = function.func
    return function, bound


def _named(function: Any) -> Any:
    """The object with a name and a source: the function itself, a method's function, an object's class."""
    function, _ = _unbound(function)
    function = inspect.unwrap(function) if callable(function) else function
    if isinstance(function, types.MethodType):
        return function.__func__
    return function if inspect.isroutine(function) or isinstance(function, type) else type(function)


def _plain(value: Any) -> Any:
    """``value`` as plain JSON; anything else by its type's name, since an address would differ every time."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if not isinstance(value, float) or value == value else "nan"
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    if callable(value):
        return described(value)
    text = repr(value)
    return f"{type(value).__module__}.{type(value).__qualname__}" if " at 0x" in text else text


def _source(thing: Any) -> str:
    """The source of a function or class, for a lambda only the lambda; empty if it is not available."""
    try:
        if getattr(thing, "__name__", "") == "<lambda>":
            return _lambda(thing)
        return inspect.getsource(thing)
    except (OSError, TypeError, SyntaxError):
        code = getattr(thing, "__code__", None)
        return "" if code is None else repr((code.co_code, code.co_names, _constants(code)))


def _lambda(function: types.FunctionType) -> str:
    """The lambdas that begin on the same line as this one, without the surrounding code."""
    lines, _ = inspect.findsource(function)
    tree = ast.parse("".join(lines))
    first = function.__code__.co_firstlineno
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Lambda) and node.lineno == first]
    if not found:
        raise OSError("no lambda begins in this line")
    return "\n".join(found)


def _constants(code: types.CodeType) -> list[str]:
    return [repr(_constants(const)) if isinstance(const, types.CodeType) else repr(const) for const in code.co_consts]


def _used(function: Any, seen: dict[str, str] | None = None) -> dict[str, str]:
    """What a function without a module file uses of its notebook or script: functions, classes, constants."""
    seen = {} if seen is None else seen
    code = getattr(function, "__code__", None)
    names = set(_names(code)) if code is not None else set()
    around: dict[str, Any] = dict(getattr(function, "__globals__", {}))
    if code is not None and getattr(function, "__closure__", None):
        cells = zip(code.co_freevars, function.__closure__, strict=True)
        inside = {name: cell.cell_contents for name, cell in cells if cell != types.CellType()}
        around |= inside
        names |= inside.keys()
    if isinstance(function, type):
        for name, method in vars(function).items():
            if inspect.isfunction(method):
                seen.setdefault(f"{function.__qualname__}.{name}", "")
                _used(method, seen)
    filled = _filled(function)
    for name in sorted(names & around.keys()):
        if name in seen or name in filled:
            continue
        value = around[name]
        if isinstance(value, types.ModuleType):
            seen |= {f"module {module}": text for module, text in _behind(value.__name__).items()}
        elif inspect.isfunction(value) or isinstance(value, type):
            modules = modules_of(value)
            seen |= {f"module {module}": text for module, text in modules.items()}
            if not modules and getattr(value, "__module__", "") == getattr(function, "__module__", None):
                seen[name] = digest(_source(value))
                _used(value, seen)
        elif value is None or isinstance(value, bool | int | float | str | tuple | list | dict | set | frozenset):
            seen[name] = digest(json.dumps(_plain(value), sort_keys=True, default=repr))
    return seen


def _filled(function: Any) -> set[str]:
    """Names of objects that the function itself fills, such as a list that it appends to: these are not constants."""
    try:
        tree = ast.parse(textwrap.dedent(_source(function)))
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        place: Any = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FILLING:
            place = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            place = node.value
        elif isinstance(node, ast.AugAssign):
            place = node.target
        while isinstance(place, ast.Subscript | ast.Attribute):
            place = place.value
        if isinstance(place, ast.Name):
            found.add(place.id)
    return found


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names used in a function and its nested functions."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _names(const)


def _file_of(name: str) -> Path | None:
    """The module's file; None if it is built in, installed or not found. Nothing is imported."""
    top, *inner = name.split(".")
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, AttributeError, ValueError):  # a module created by hand
        spec = None
    for i, _ in enumerate(inner, start=1):
        places = None if spec is None else spec.submodule_search_locations
        if places is None or (spec is not None and spec.origin and not _is_own(Path(spec.origin))):
            return None
        spec = PathFinder.find_spec(".".join([top, *inner[:i]]), list(places))
    origin = None if spec is None or not spec.has_location else spec.origin
    origin = origin or getattr(sys.modules.get(name), "__file__", None)
    return None if origin is None else Path(origin).resolve()


@functools.cache
def _installed() -> tuple[Path, ...]:
    """The folders of Python itself and of installed packages."""
    places = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    places |= {*site.getsitepackages(), site.getusersitepackages()} if hasattr(site, "getsitepackages") else set()
    return tuple(Path(place).resolve() for place in places if place)


def _is_own(path: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(place) for place in _installed())


def _imports(content: bytes, name: str, is_package: bool) -> Iterator[str]:
    """The names that the source of the module ``name`` imports anywhere; some are not modules and will not be found."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    package = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names if alias.name != "*")
