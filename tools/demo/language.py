"""The demo's code, in the language of each image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Language:
    """Code that does what the field's name says; an account's `deposit` answers its balance."""

    define_account: str
    make_account: str
    """Assigns an account with 42 to `account`, and 7 to `rate`."""
    deposit_58: str
    balance: str


LANGUAGES: Final[Mapping[str, Language]] = {
    "smalltalk": Language(
        define_account=(
            "Object subclass: #Account slots: {#balance} package: 'Demo'.\n"
            "Account compile: 'deposit: amount\n"
            "    balance := (balance ifNil: [0]) + amount.\n"
            "    ^ balance' protocol: 'banking'"
        ),
        make_account="account := Account new. account deposit: 42. rate := 7",
        deposit_58="account deposit: 58",
        balance="account deposit: 0",
    ),
    "python": Language(
        define_account=(
            "class Account:\n"
            "    balance = 0\n"
            "    def deposit(self, amount):\n"
            "        self.balance += amount\n"
            "        return self.balance"
        ),
        make_account="account = Account(); account.deposit(42); rate = 7",
        deposit_58="account.deposit(58)",
        balance="account.deposit(0)",
    ),
}
