"""Scripts of the plant: read with the version, parsed and never run here; their functions checked by name and signature."""

from __future__ import annotations

import ast
import warnings

from isthmus.namespace.draft import Draft, DraftTag, InFile, Place, declared_at, note
from isthmus.namespace.plantfile import Document, did_you_mean
from isthmus.namespace.taglist import ReadFile

MAX_SCRIPT_BYTES = 200_000
MAX_SCRIPTS = 64
"""Each script is a process at its edge."""


def check(document: Document, draft: Draft, read_file: ReadFile) -> None:
    """Reads every script tags name, keeps its text in the draft, and notes what is wrong with file and line."""
    seen: dict[str, dict[str, ast.AST] | None] = {}
    for tag in draft.tags.values():
        section = tag.common.section.python
        if section is None or not tag.reason or not section.file:
            continue
        place = declared_at(document, tag, "python")
        if section.file not in seen:
            seen[section.file] = _read(document, draft, place, section.file, read_file)
            if len(seen) == MAX_SCRIPTS + 1:
                note(document, _below(place, "file"), f"more than {MAX_SCRIPTS} scripts", section.file)
        names = seen[section.file]
        if names is not None and section.function:
            _check_function(document, tag, place, names)


def _below(place: Place, name: str) -> Place:
    return place if isinstance(place, InFile) else (*place, name)


def _read(document: Document, draft: Draft, place: Place, file: str, read_file: ReadFile) -> dict[str, ast.AST] | None:
    data = read_file(file)
    if data is None:
        note(document, _below(place, "file"), "no such file beside the plant file", file)
        return None
    if len(data) > MAX_SCRIPT_BYTES:
        note(document, _below(place, "file"), f"larger than {MAX_SCRIPT_BYTES // 1000} kB", f"{len(data) / 1e3:.0f} kB")
        return None
    try:
        text = data.decode()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, file)
            compile(
                tree, file, "exec", dont_inherit=True
            )  # finds what the grammar alone does not, such as a stray return
    except SyntaxError as error:
        lines = text.splitlines()
        line = error.lineno or 1
        shown = lines[line - 1].strip() if line <= len(lines) else ""
        document.report.add(
            f"is not Python: {error.msg}", where=file, line=line, column=max(error.offset or 1, 1), value=shown
        )
        return None
    except (ValueError, RecursionError, MemoryError) as error:  # no UTF-8, a zero byte, nested beyond reason
        document.report.add(f"is not Python: {error or type(error).__name__}", where=file, line=1, column=1)
        return None
    draft.scripts[file] = text
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _check_function(document: Document, tag: DraftTag, place: Place, names: dict[str, ast.AST]) -> None:
    section = tag.common.section.python
    if section is None:
        return
    node = names.get(section.function)
    if node is None:
        problem = f"{section.file} has no function of this name" + did_you_mean(section.function, names)
        note(document, _below(place, "function"), problem, section.function)
        return
    if isinstance(node, ast.AsyncFunctionDef):
        document.report.add("a function of a tag may not be async", where=section.file, line=node.lineno, column=1)
        return
    if not isinstance(node, ast.FunctionDef):
        return
    wanted = 3 if section.state else 2
    given = node.args
    most = len(given.posonlyargs) + len(given.args)
    least = most - len(given.defaults)
    needed_by_name = any(default is None for default in given.kw_defaults)
    if not (least <= wanted and (wanted <= most or given.vararg is not None)) or needed_by_name:
        says = "(inputs, time_ns, state)" if section.state else "(inputs, time_ns)"
        told = ", as state is declared" if section.state else ""
        document.report.add(
            f"{section.function} must take {says}{told}",
            where=section.file,
            line=node.lineno,
            column=node.col_offset + 1,
            path=tag.path,
            value=f"({ast.unparse(given)})",
        )
