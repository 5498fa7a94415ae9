"""`stui doctor`: what is wrong with a site, and what to do about it.

Every check looks at one thing, reads only, and may be run while the backend does. docs/doctor.md
describes them. `checks` has the table of all, `examination` runs them, `repairing` mends.
"""
