"""What a Python image does beyond the contract: the language, output, inspection, encodings."""

import cbor2
import msgspec
import pytest

from tests.tools.images.image_client import (
    ImageClient,
    ImageProcess,
    Message,
    fresh_name,
    result_of,
)


def shown(client: ImageClient, session: str, target: str, **more: object) -> Message:
    return client.do("inspect", session=session, target=target, **more)


def failure(client: ImageClient, session: str, code: str) -> Message:
    error = client.fail("evaluate", session=session, code=code, request=fresh_name("fails"))
    assert error.code == "evaluation_error"
    return error.details


def output_of(client: ImageClient, session: str, code: str) -> str:
    """All that the code prints. It comes before the reply, so none can come later."""
    name = fresh_name("prints")
    client.evaluate(session, code, request=name)
    return "".join(event["text"] for event in client.events if event["request"] == name)


class TestLanguage:
    @pytest.mark.parametrize(
        ("code", "result"),
        [
            ("", "None"),
            ("# nothing", "None"),
            ("x = 3", "None"),
            ("x = 3\nx + 1", "4"),
            ("for i in range(3): pass", "None"),
            ("if True:\n    7", "None"),
            ("'a'; 'b'", "'b'"),
            ("None", "None"),
            ("def f(n): return n and f(n - 1)\nf(5)", "0"),
            ("[y for y in range(3) if y in (lambda: [1, 2])()]", "[1, 2]"),
            ("from __future__ import annotations\nint", "<class 'int'>"),
        ],
    )
    def test_the_last_expression_is_the_value(
        self, python: ImageClient, session: str, code: str, result: str
    ) -> None:
        assert python.evaluate(session, code)["result"] == result

    def test_a_workspace_is_a_module_that_can_be_pickled_and_named(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "import pickle, sys, dataclasses\n"
            "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: 'int' = 2\n",
        )
        assert python.evaluate(session, "pickle.loads(pickle.dumps(Point(1)))")["result"] == (
            "Point(x=1, y=2)"
        )
        assert python.evaluate(session, "sys.modules[__name__].Point is Point")["result"] == "True"
        assert python.evaluate(session, "Point.__module__ == __name__")["result"] == "True"

    def test_sessions_whose_names_look_alike_stay_apart(self, python: ImageClient) -> None:
        python.evaluate("look/alike", "x = 1")
        python.evaluate("look.alike", "x = 2")
        assert python.evaluate("look/alike", "x")["result"] == "1"

    def test_a_stack_begins_in_the_users_code_and_shows_it(
        self, python: ImageClient, session: str
    ) -> None:
        details = failure(python, session, "def f():\n    return {}['gone']\nf()")
        assert (details["class"], details["message"]) == ("KeyError", "'gone'")
        assert details["stack"][0] == "Traceback (most recent call last):"
        assert "line 3, in <module>\n    f()" in details["stack"][1]
        assert "return {}['gone']" in details["stack"][2]
        assert not any("python_image" in line for line in details["stack"])

    @pytest.mark.parametrize(
        ("code", "place"),
        [("1 +* 2", (1, 4, 4)), ("ä = 1\nb = (2 +* 3)", (2, 9, 15)), ("def f(:", (1, 7, 7))],
    )
    def test_a_syntax_error_tells_where(
        self, python: ImageClient, session: str, code: str, place: tuple[int, int, int]
    ) -> None:
        details = failure(python, session, code)
        assert details["class"] == "SyntaxError"
        assert (details["line"], details["column"], details["position"]) == place

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("import sys; sys.exit(3)", "SystemExit"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise BaseException('x')", "BaseException"),
            ("def f(): f()\nf()", "RecursionError"),
            ("input()", "EOFError"),
            ("class E(Exception):\n    def __str__(self): raise E\nraise E", "E"),
            ("x = '\\0", "SyntaxError"),
            ("1\0", "ValueError"),
            ("raise ValueError('\\ud800')", "ValueError"),
            ("[" * 500, "SyntaxError"),
            ("print(nobody)", "NameError"),
        ],
    )
    def test_whatever_is_raised_is_an_error_of_that_evaluation(
        self, python: ImageClient, session: str, code: str, error: str
    ) -> None:
        epoch = python.do("ping")["image"]["epoch"]
        assert error in (failure(python, session, code)["class"], "ValueError")
        assert python.evaluate(session, "1", epoch=epoch)["result"] == "1"

    def test_names_from_a_failed_evaluation_are_told_by_the_next_success(
        self, python: ImageClient, session: str
    ) -> None:
        failure(python, session, "kept = 1\n1 / 0")
        assert python.evaluate(session, "kept")["variables"] == ["kept"]

    def test_the_source_of_a_function_can_be_asked_for(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "def f(a):\n    return a  # here\n")
        code = "import inspect; inspect.getsource(f)"
        assert python.evaluate(session, code)["result"] == repr("def f(a):\n    return a  # here\n")


class TestPrinting:
    def test_a_result_of_50_mb_is_cut(self, python: ImageClient, session: str) -> None:
        result = python.evaluate(session, "b'x' * 50_000_000")
        assert result["truncated"] is True
        assert result["result"][:65_536] == "b'" + "x" * 65_534
        assert result["result"][65_536:] == "… (50000003 characters)"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("raise SystemExit(1)", "SystemExit: 1"),
            ("return self", "TypeError: __repr__ returned non-string"),
            ("return repr([self])", "RecursionError"),
            ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd"),
        ],
    )
    def test_a_repr_that_fails_is_told(
        self, python: ImageClient, session: str, body: str, reason: str
    ) -> None:
        code = f"class Odd:\n    def __repr__(self): {body}\nOdd()"
        result = python.evaluate(session, code)["result"]
        assert result.startswith(f"a Odd (printing failed: {reason}")

    def test_text_without_utf8_and_odd_strings_arrive(
        self, python: ImageClient, session: str
    ) -> None:
        code = (
            "class Str(str):\n    def __len__(self): return 1 / 0\n"
            "class Odd:\n    def __repr__(self): return Str('\\ud800')\nOdd()"
        )
        assert python.evaluate(session, code)["result"] == "\\ud800"


class TestOutput:
    def test_output_of_print_stderr_and_programs_keeps_its_order(
        self, python: ImageClient, session: str
    ) -> None:
        code = (
            "import os, sys\nprint('one')\nprint('two', file=sys.stderr)\nos.system('echo three')\n"
            "os.write(1, b'four\\n')\nprint('five', end='')"
        )
        assert output_of(python, session, code) == "one\ntwo\nthree\nfour\nfive"

    def test_output_is_sent_while_the_evaluation_runs(
        self, python: ImageClient, session: str
    ) -> None:
        sent = python.send_code(session, "import time\nprint('début')\ntime.sleep(60)")
        event = python.wait_for_event(lambda event: event["session"] == session)
        assert event["text"] == "début\n"
        python.do("interrupt")
        assert python.receive(sent)["error_code"] == "interrupted"

    def test_endless_output_is_cut_and_can_be_interrupted(
        self, python: ImageClient, session: str
    ) -> None:
        sent = python.send_code(session, "while True: print('x' * 1000)")
        python.wait_for_event(
            lambda event: event["session"] == session and "is not shown" in event["text"]
        )
        assert python.receive(python.send("ping"), seconds=1)["result"]["busy"] is True
        python.do("interrupt")
        assert python.receive(sent)["error_code"] == "interrupted"
        assert sum(len(event["text"]) for event in python.events) < 1.1 * 2**20
        assert output_of(python, session, "print('again')") == "again\n"

    def test_closed_streams_and_what_threads_print_later_hurt_no_one(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(
            session,
            "import threading, sys\ngo, gone = threading.Event(), threading.Event()\n"
            "def late():\n    go.wait()\n    print('late')\n    gone.set()\n"
            "threading.Thread(target=late).start()\nold = sys.stdout",
        )
        python.evaluate(session, "class Closed:\n    pass\nsys.stdout = Closed()")
        python.evaluate(session, "sys.stdout = old")
        assert output_of(python, session, "go.set()\ngone.wait()\nprint('now')") == "late\nnow\n"


class TestInspection:
    def test_properties_are_never_asked(self, python: ImageClient, session: str) -> None:
        python.evaluate(
            session,
            "asked = []\n"
            "class Meta(type):\n"
            "    @property\n    def __name__(cls): asked.append('name'); return 'Lie'\n"
            "class Odd(metaclass=Meta):\n"
            "    __slots__ = ('slot', 'empty', '_hidden')\n"
            "    @property\n    def value(self): asked.append('value')\n"
            "    @property\n    def __dict__(self): asked.append('dict'); return {'a': 1}\n"
            "    @property\n    def __class__(self): asked.append('class'); return list\n"
            "    def __getattr__(self, name): asked.append(name)\n"
            "    def __hash__(self): asked.append('hash')\n"
            "    def __len__(self): asked.append('len')\n"
            "    def __sizeof__(self): asked.append('sizeof')\n"
            "    def __iter__(self): asked.append('iter')\n"
            "    def __repr__(self): return 'odd'\n"
            "odd = Odd(); odd.slot = 1; odd._hidden = 2",
        )
        plain = shown(python, session, "odd")
        private = shown(python, session, "odd", include_private=True)
        assert plain["object_info"]["class_name"] == "Odd"
        assert plain["instance_vars"] == {"slot": "1"}
        assert private["instance_vars"] == {"slot": "1", "_hidden": "2"}
        assert {"__repr__", "__init__"} <= set(private["methods"])
        python.do("browse_class", class_name="Odd", include_class_vars=True)
        assert python.evaluate(session, "asked")["result"] == "[]"

    @pytest.mark.parametrize(
        ("target", "entries"),
        [
            ("[7, 'a']", {"0": "7", "1": "'a'"}),
            ("(7,)", {"0": "7"}),
            ("{3}", {"0": "3"}),
            ("frozenset({3})", {"0": "3"}),
            ("{'k': 1, 2: 'v'}", {"'k'": "1", "2": "'v'"}),
            ("2+3j", {"real": "2.0", "imag": "3.0"}),
            ("7", {}),
            ("''", {}),
            ("iter([1])", {}),
            ("type('T', (list,), {'__iter__': None})([5])", {"0": "5"}),
            ("type('T', (), {})()", {}),
            (
                "__import__('dataclasses').make_dataclass('P', ['x', 'y'], slots=True)(1, 2)",
                {"x": "1", "y": "2"},
            ),
            ("__import__('types').SimpleNamespace(a=1, _b=2)", {"a": "1"}),
        ],
    )
    def test_attributes_and_elements_have_names(
        self, python: ImageClient, session: str, target: str, entries: dict[str, str]
    ) -> None:
        found = shown(python, session, target)
        assert found["instance_vars"] == entries
        assert found["children"].keys() == entries.keys()

    def test_keys_that_print_alike_get_names_of_their_own(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "class K:\n    def __repr__(self): return 'k'")
        found = shown(python, session, "{K(): 1, K(): 2}")
        assert found["instance_vars"] == {"k": "1", "k (2)": "2"}

    def test_an_objects_class_module_and_itself_can_be_inspected(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "import json\nloop = []\nloop.append(loop)")
        assert "dumps" in shown(python, session, "json")["instance_vars"]
        assert shown(python, session, "loop")["instance_vars"] == {"0": "[[...]]"}
        assert shown(python, session, "type", include_private=True)["methods"]

    def test_a_target_is_an_expression(self, python: ImageClient, session: str) -> None:
        error = python.fail("inspect", session=session, target="x = 1")
        assert (error.code, error.details["class"]) == ("evaluation_error", "SyntaxError")


class TestBrowsing:
    def test_classes_of_imported_modules_are_listed_and_found(
        self, python: ImageClient, session: str
    ) -> None:
        python.evaluate(session, "import fractions")
        (info,) = python.do("list_classes", pattern="Fraction")["classes"]
        assert (info["package"], info["is_system"]) == ("fractions", True)
        assert info["superclass"] == "Rational"
        method = python.do(
            "get_method", class_name="fractions.Fraction", method_name="limit_denominator"
        )
        assert method["method"]["source"].startswith("def limit_denominator(self")
        error = python.fail("get_method", class_name="Fraction", method_name="__floor__x")
        assert error.code == "method_not_found"

    def test_classes_of_one_name_are_told_apart_by_their_module(
        self, python: ImageClient, session: str
    ) -> None:
        other = fresh_name("session")
        for name, doc in ((session, "first"), (other, "second")):
            python.evaluate(name, f"class Twin:\n    '''{doc}'''")
        first = python.evaluate(session, "__name__")["result"].strip("'")
        found = python.do("browse_class", class_name=f"{first}.Twin")["class_info"]
        assert (found["comment"], found["package"]) == ("first", first)
        assert python.do("list_classes", pattern="Twin")["total_count"] == 2

    def test_every_kind_of_method_is_shown(self, python: ImageClient, session: str) -> None:
        python.evaluate(
            session,
            "import typing, functools\n"
            "class Kinds:\n"
            "    shared: typing.ClassVar[int] = 1\n    own: int\n    __slots__ = ('own', 'extra')\n"
            "    @property\n    def p(self): 'Doc.'\n"
            "    @classmethod\n    def c(cls, a, *rest, key=1, **more): pass\n"
            "    @staticmethod\n    def s(a): pass\n"
            "    @functools.cache\n    def cached(self): pass\n"
            "    def __len__(self): self.extra = 0; return 0\n",
        )
        found = python.do("browse_class", class_name="Kinds", include_class_vars=True)
        on_class = {each["name"]: each["arguments"] for each in found["class_methods"]}
        assert on_class == {"c": ["a", "key", "rest", "more"], "s": ["a"]}
        kinds = {each["name"]: each["category"] for each in found["instance_methods"]}
        assert kinds == {"p": "properties", "__len__": "special"}
        assert sorted(found["instance_vars"]) == ["extra", "own"]
        assert found["class_vars"] == ["shared", "cached"]
        method = python.do("get_method", class_name="Kinds", method_name="c", is_class_method=True)[
            "method"
        ]
        assert method["source"].startswith("@classmethod\ndef c(cls")

    def test_every_builtin_class_can_be_browsed(self, python: ImageClient) -> None:
        sent = [
            python.send("browse_class", class_name=info["name"], include_class_vars=True)
            for info in python.do("list_classes")["classes"]
        ]
        assert all(result_of(python.receive(each)) for each in sent)


class TestEncodings:
    def test_cbor_is_answered_in_cbor(self, shared_python: ImageProcess, session: str) -> None:
        with ImageClient(shared_python.endpoint, cbor=True) as client:
            assert output_of(client, session, "print('hi')") == "hi\n"
            assert client.evaluate(session, "6 * 7")["result"] == "42"
            details = failure(client, session, "1 / 0")
            assert details["class"] == "ZeroDivisionError"
            client.send_raw(b"\xd9\xd9\xf7" + cbor2.dumps({"id": "tagged", "command": "ping"}))
            assert client.receive("tagged")["status"] == "success"

    @pytest.mark.parametrize(
        "body",
        [
            b"\xa1",
            b"\xbf\x61a",
            cbor2.dumps({"id": b"bytes", "command": "ping"}),
            cbor2.dumps({"id": "a", "command": "ping"}) + b"more",
            cbor2.dumps({1: 2}),
            cbor2.dumps({"id": "a", "command": "ping", "parameters": {"x": float("nan")}}),
            cbor2.dumps({"a": cbor2.CBORTag(35, "(")}),
        ],
    )
    def test_cbor_that_json_could_not_say_is_malformed(
        self, shared_python: ImageProcess, body: bytes
    ) -> None:
        with ImageClient(shared_python.endpoint, cbor=True) as client:
            client.send_raw(body)
            assert client.receive(None)["error_code"] == "malformed"

    @pytest.mark.parametrize("request_id", ["", 7, -1, 2.5, "é€𝄞", "x" * 5000])
    def test_the_id_is_echoed_as_it_came(
        self, python: ImageClient, request_id: str | float
    ) -> None:
        python.send_raw(msgspec.json.encode({"id": request_id, "command": "ping"}))
        assert python.receive(request_id)["result"]["message"] == "pong"
