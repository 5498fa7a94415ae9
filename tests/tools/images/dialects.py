"""The same statements in the languages of the images, for the contract suite."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Dialect:
    """One image: where its `run` is, and code that does in it what a field's name says."""

    name: str
    launcher: str  # the module that has `run(endpoint, name, state_dir)`
    assign_41: str  # to the variable x
    x_plus_1: str
    number_class: str
    add_1_to_x: str  # assigns x + 1 to x
    error: str
    error_class: str
    syntax_error: str
    endless_loop: str
    print_hello: str
    define_account: str  # class Account with an instance variable `balance`, made with 5
    make_account: str
    account_superclass: str
    balance_method: tuple[str, str]  # its name and something that its source contains
    root_class: str
    system_class: str
    letters_70000: str  # a text
    list_of_2000: str
    first_index: str
    list_of_long_text: str  # a list whose one element is a text of 5,000 characters
    list_of_long_texts: str  # a list of 1,000 texts of 1,000 characters each
    unprintable: str  # an object of class Grumpy that raises an error when printed
    inspects_by_key: tuple[str, str, str]  # a dictionary, and a key and value as printed
    true: str  # as printed
    make_graph: str  # a and b are one list of 1 and itself, c a dictionary with that at 'k'
    is_that_graph: str  # whether it is so
    grow_a: str  # adds 5 to the list a
    size_of_a: str
    assign_unkeepable: str  # x has something in it that no snapshot can keep, y is 8
    make_large: str  # x is a list of 100,000 lists
    texts_and_numbers: str  # a list of such, assigned to x
    is_texts_and_numbers: str  # whether x is that list

    def __str__(self) -> str:
        return self.name


PYTHON = Dialect(
    name="Python",
    launcher="tools.images.python_image.launcher",
    assign_41="x = 41",
    x_plus_1="x + 1",
    number_class="int",
    add_1_to_x="x = x + 1",
    error="1 / 0",
    error_class="ZeroDivisionError",
    syntax_error="x = 1\ny = (2 +* 3)",
    endless_loop="while True: pass",
    print_hello="print('hello')",
    define_account="""
class Account:
    '''Keeps money.'''

    limit = 1000

    def __init__(self, balance=5):
        self.balance = balance

    def withdraw(self, amount):
        '''Take money out.'''
        self.balance -= amount
""",
    make_account="Account()",
    account_superclass="object",
    balance_method=("withdraw", "self.balance -= amount"),
    root_class="object",
    system_class="dict",
    letters_70000="'a' * 70000",
    list_of_2000="list(range(2000))",
    first_index="0",
    list_of_long_text="['b' * 5000]",
    list_of_long_texts="['b' * 1000] * 1000",
    unprintable="""
class Grumpy:
    def __repr__(self):
        raise ValueError('no')
Grumpy()""",
    inspects_by_key=("{'key': 7}", "'key'", "7"),
    true="True",
    make_graph="a = [1]; a.append(a); b = a; c = {'k': a}",
    is_that_graph="b is a and a[1] is a and c['k'] is a and a[0] == 1",
    grow_a="a.append(5)",
    size_of_a="len(a)",
    assign_unkeepable="x = [(i for i in range(3)), 7]; y = 8",
    make_large="x = [[i] for i in range(100_000)]",
    texts_and_numbers="x = ['', 'it\\'s', 'ä€😀', 0, -1, 0.1, 1e300, 2**60, True, False, None]",
    is_texts_and_numbers="x == ['', 'it\\'s', 'ä€😀', 0, -1, 0.1, 1e300, 2**60, True, False, None]",
)

SMALLTALK = Dialect(
    name="Smalltalk",
    launcher="tools.images.smalltalk.launcher",
    assign_41="x := 41",
    x_plus_1="x + 1",
    number_class="Number",
    add_1_to_x="x := x + 1",
    error="nil foo",
    error_class="MessageNotUnderstood",
    syntax_error="x := 1.\ny := (2 + ",
    endless_loop="[true] whileTrue: []",
    print_hello="Transcript show: 'hello'",
    define_account="""Object subclass: #Account slots: {#balance} package: 'Bank'.
Account compile: 'initialize super initialize. balance := 5' protocol: 'initialization'.
Account compile: 'withdraw: amount
    "Take money out."
    balance := balance - amount' protocol: 'accessing'""",
    make_account="Account new",
    account_superclass="Object",
    balance_method=("withdraw:", "balance := balance - amount"),
    root_class="ProtoObject",
    system_class="Dictionary",
    letters_70000="| s | s := String new writeStream. 70000 timesRepeat: [s nextPutAll: 'a']."
    " s contents",
    list_of_2000="(1 to: 2000) asArray",
    first_index="1",
    list_of_long_texts="| s | s := String new writeStream. 1000 timesRepeat: [s nextPutAll: 'b']."
    " (1 to: 1000) collect: [ :i | s contents ]",
    list_of_long_text="| s | s := String new writeStream. 5000 timesRepeat: [s nextPutAll: 'b']."
    " {s contents}",
    unprintable="""Object subclass: #Grumpy slots: {} package: 'Bank'.
Grumpy compile: 'printOn: aStream self error: ''no''' protocol: 'printing'.
Grumpy new""",
    inspects_by_key=("Dictionary new at: #key put: 7; yourself", "'key'", "7"),
    true="true",
    make_graph="a := OrderedCollection with: 1. a add: a. b := a."
    " c := Dictionary new at: 'k' put: a; yourself",
    is_that_graph="b == a and: [(a at: 2) == a and: [(c at: 'k') == a and: [(a at: 1) = 1]]]",
    grow_a="a add: 5",
    size_of_a="a size",
    assign_unkeepable="x := {[ 3 ]. 7}. y := 8",
    make_large="x := (1 to: 100000) collect: [ :i | {i} ]",
    texts_and_numbers="x := {''. 'it''s'. 'ä€😀'. 0. -1. 0.1. 1e300. 2 ** 60. true. false. nil}",
    is_texts_and_numbers="x = {''. 'it''s'. 'ä€😀'. 0. -1. 0.1. 1e300. 2 ** 60. true. false. nil}",
)

_RUN = """
import sys
from pathlib import Path
from {launcher} import run
sys.exit(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
"""


def command_of(dialect: Dialect, state_dir: Path, endpoint: str = "tcp://127.0.0.1:*") -> list[str]:
    """What starts an image of the dialect."""
    code = _RUN.format(launcher=dialect.launcher)
    return [sys.executable, "-c", code, endpoint, "contract", str(state_dir)]
