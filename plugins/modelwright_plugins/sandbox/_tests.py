"""What in the text of tests is a test: read where tests are taken in, to refuse those that test nothing, and in the sandbox, to run them.

No more than the standard library is imported: this text stands before `_tester.py` there.
"""

import ast
import importlib
import sys

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try)
NOT_RUN = (*DEFINITIONS, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Pass)


def functions(body):
    """The functions test_… of a module's or a class's statements."""
    return [node for node in body if isinstance(node, DEFINITIONS) and node.name.startswith("test")]


def cases(body):
    """The classes of unittest that have tests: TestCase, however it was imported, is a base of theirs."""
    bases = {node: [_last(base) for base in node.bases] for node in body if isinstance(node, ast.ClassDef)}
    return [node for node, names in bases.items() if "TestCase" in names and functions(node.body)]


def _last(node):
    """The last name of a dotted one."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def own_call(node, body):
    """Whether this statement calls a function that the tests define, as HumanEval's check(NAME)."""
    call = node.value if isinstance(node, ast.Expr) else None
    names = {each.name for each in body if isinstance(each, DEFINITIONS)}
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names


def may_fail(tree):
    """Whether something in it looks at what was computed: assert, raise, assertEqual(…), fail(…), exit(…)."""
    for node in ast.walk(tree):
        name = _last(node.func) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Assert | ast.Raise) or name.startswith("assert") or name in ("fail", "exit"):
            return True
    return False


def statements(body):
    """The top-level statements that are tests: asserts, calls of functions of their own, and loops and such with one in them."""
    found = [
        node for node in body if isinstance(node, ast.Assert) or own_call(node, body) or (isinstance(node, COMPOUND) and may_fail(node))
    ]
    if found or functions(body) or cases(body):
        return [node for node in found if not is_main(node)]
    return [node for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]


def is_main(node):
    """`if __name__ == "__main__":`, which is not true of tests."""
    return isinstance(node, ast.If) and any(isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test))


def refused(tree):
    """Why these are no tests: none of them would be run, or none could fail; None: they are some."""
    body = tree.body
    for node in [each for part in [body, *(case.body for case in cases(body))] for each in functions(part)]:
        if isinstance(node, ast.AsyncFunctionDef) or any(isinstance(each, ast.Yield | ast.YieldFrom) for each in _inside(node.body)):
            return f"{node.name} is async or a generator, which a call does not run"
        if node in body and len(node.args.args) + len(node.args.posonlyargs) > len(node.args.defaults):
            return f"{node.name} wants arguments, which nobody gives it"
    if not functions(body) and not cases(body) and not any(not isinstance(node, NOT_RUN) and not is_main(node) for node in _said(body)):
        check = next((node.name for node in body if isinstance(node, DEFINITIONS)), None)
        hint = f": they define {check}(…) and do not call it; add {check}(NAME), NAME the function that is asked for" if check else ""
        return f"tests run nothing{hint}"
    returns = any(own_call(node, body) for node in body) or functions(body)
    if not may_fail(tree) and not (returns and any(isinstance(node, ast.Return) and node.value for node in ast.walk(tree))):
        return "tests hold whatever is computed: nothing in them asserts, raises or returns"
    return None


def _said(body):
    """Without texts, which stand there as comments."""
    return [node for node in body if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call)]


def _inside(nodes):
    """These nodes and what is below them, other functions aside."""
    left = list(nodes)
    while left:
        yield (node := left.pop())
        left += [each for each in ast.iter_child_nodes(node) if not isinstance(each, (*DEFINITIONS, ast.Lambda, ast.ClassDef))]


def modules(tree):
    """Modules of the standard library that tests use without importing them, by name: NAME stands there only as NAME.x, and they have x.

    They are the real ones, whatever the program calls so: its own `math.isclose` would be its judge.
    """
    uses, whole = {}, set()
    within = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            uses.setdefault(node.value.id, set()).add(node.attr)
        if isinstance(node, ast.Name) and id(node) not in within:
            whole.add(node.id)
    found = {}
    for name in uses.keys() - whole:
        if name in sys.stdlib_module_names:
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            if all(hasattr(module, attribute) for attribute in uses[name]):
                found[name] = module
    return found
