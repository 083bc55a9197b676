"""A tracker of the tests that needs a package that nobody has."""

REQUIRES = "no_such_package"
