"""Compiles every module that the exporter imports, those of the standard library too, below PYTHONPYCACHEPREFIX.

An image's root is read-only, so that what is not compiled at build is compiled at each start. Bytecode is checked by
its source's hash: times of files change on the way into a layer, and a patched source must win over old bytecode.
"""

# ruff: noqa: INP001 - a script of the Dockerfile, no package

import importlib
import pkgutil
import py_compile
import sys

import exporter

for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
    if module.name != "exporter.__main__":
        importlib.import_module(module.name)
for path in sorted({getattr(module, "__file__", None) or "" for module in sys.modules.values()} - {__file__}):
    if path.endswith(".py"):
        py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
