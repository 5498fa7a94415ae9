"""The demo's code, in the language of each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """Code that does what the field's name says, and what is to become of its variables.

    An account's `deposit` answers its balance.
    """

    define_account: str
    fill_workspace: str
    """Makes `account`, with 42, which is `owner` as well; `ring` of itself and the account; `rate`
    of 7; and a variable that no snapshot can hold."""
    deposit_58: str
    balance: str
    one_account: str
    """True where `account` and `owner` are one object."""
    ring_of_itself: str
    ring_has_account: str
    make_mistake: str
    """Leaves -900 in the account, the ring empty and no owner."""
    true: str
    variables: frozenset[str]
    """Those that come back when the image has died."""
    cannot_be_kept: frozenset[str]
    lost_elsewhere: frozenset[str]
    """Variables that the Python image cannot take over from this one."""
    partial_elsewhere: frozenset[str]


LANGUAGES: Final[Mapping[str, Language]] = {
    "smalltalk": Language(
        define_account=(
            "Object subclass: #Account slots: {#balance} package: 'Demo'.\n"
            "Account compile: 'deposit: amount\n"
            "    ^ balance := (balance ifNil: [0]) + amount' protocol: 'banking'"
        ),
        fill_workspace=(
            "account := Account new. account deposit: 42. owner := account. rate := 7.\n"
            "ring := OrderedCollection new. ring add: ring; add: account. twice := [:x | x * 2]"
        ),
        deposit_58="account deposit: 58",
        balance="account deposit: 0",
        one_account="account == owner",
        ring_of_itself="(ring at: 1) == ring",
        ring_has_account="(ring at: 2) == account",
        make_mistake="account deposit: -1000. ring removeAll. owner := nil",
        true="true",
        variables=frozenset({"account", "owner", "ring", "rate"}),
        cannot_be_kept=frozenset({"twice"}),
        lost_elsewhere=frozenset({"account", "owner"}),
        partial_elsewhere=frozenset({"ring"}),
    ),
    "python": Language(
        define_account=(
            "class Account:\n"
            "    balance = 0\n"
            "    def deposit(self, amount):\n"
            "        self.balance += amount\n"
            "        return self.balance\n"
            "    def __repr__(self):\n"
            "        return f'an Account of {self.balance}'"
        ),
        fill_workspace=(
            "account = owner = Account(); account.deposit(42); rate = 7\n"
            "ring = []; ring += [ring, account]; twice = (2 * x for x in ring)"
        ),
        deposit_58="account.deposit(58)",
        balance="account.deposit(0)",
        one_account="account is owner",
        ring_of_itself="ring[0] is ring",
        ring_has_account="ring[1] is account",
        make_mistake="account.deposit(-1000); ring.clear(); owner = None",
        true="True",
        variables=frozenset({"Account", "account", "owner", "ring", "rate"}),
        cannot_be_kept=frozenset({"twice"}),
        lost_elsewhere=frozenset(),
        partial_elsewhere=frozenset(),
    ),
}
