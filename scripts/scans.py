"""Runs kscan: what all scripts beside this share."""

import json
import pathlib
import subprocess

TARGET = pathlib.Path(__file__).resolve().parent.parent / "target"


def kscan(*args):
    """Runs a command of kscan; what it prints is dropped."""
    command = [TARGET / "release" / "kscan-coord", *args]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def scan(folder, *args):
    """Makes a scan in `folder`; its scan.json."""
    kscan("run", *args, "--out", folder, "-q")
    return json.loads((folder / "scan.json").read_text())
