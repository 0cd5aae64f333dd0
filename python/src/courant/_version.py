"""The version of the package, which is that of Courant."""

VERSION = "0.1.0"
