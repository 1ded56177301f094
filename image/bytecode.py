"""Compiles every module that the exporter imports, including the standard library, into PYTHONPYCACHEPREFIX.

The root file system of the container is read-only, so Python would compile missing bytecode at every start. Python
validates this bytecode by the hash of the source: file times change when files are copied into an image layer, and a
patched source file must not run with old bytecode.
"""

# ruff: noqa: INP001 - the Dockerfile runs this script; it is not part of a package

import importlib
import pkgutil
import py_compile
import sys

import exporter

for module in pkgutil.walk_packages(exporter.__path__, "exporter."):
    importlib.import_module(module.name)
for path in sorted({getattr(module, "__file__", None) or "" for module in sys.modules.values()} - {__file__}):
    if path.endswith(".py"):
        py_compile.compile(path, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
