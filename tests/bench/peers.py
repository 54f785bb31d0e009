# SPDX-License-Identifier: Apache-2.0

"""The peers: built once, each by its own package manager, in a cache folder outside the tree.

A peer that cannot be built is left out, and said to be.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "catena-bench"
COLLECTOR = "0.159.0"


class Peers:
    """Each method returns the start of a command line, or None: the peer is missing."""

    def __init__(self):
        self.missing = {}  # name: why
        self._built = {}
        CACHE.mkdir(parents=True, exist_ok=True)

    def _build(self, name, tool, result, commands):
        """Runs the commands, unless that was done since the peer's sources changed."""
        if name in self._built:
            return self._built[name]
        self._built[name] = None
        if not shutil.which(tool):
            self.missing[name] = f"{tool} is not installed"
            return None
        sources = [path for path in (HERE / name).rglob("*") if path.is_file()]
        stamp = CACHE / f"{name}.built"
        if not stamp.exists() or stamp.stat().st_mtime < max(
            path.stat().st_mtime for path in sources
        ):
            print(f"building {name}", file=sys.stderr)
            with open(CACHE / f"{name}.log", "w", encoding="utf-8") as log:
                for command, folder, environment in commands:
                    done = subprocess.run(
                        command, cwd=folder, env={**os.environ, **environment},
                        stdout=log, stderr=log, check=False,
                    )
                    if done.returncode:
                        self.missing[name] = f"it could not be built, see {log.name}"
                        return None
            stamp.touch()
        self._built[name] = result
        return result

    def rust(self):
        folder = CACHE / "rust"
        return self._build(
            "rust", "cargo", folder / "release" / "caller",
            [(["cargo", "build", "--release"], HERE / "rust",
              {"CARGO_TARGET_DIR": str(folder)})],
        )

    def go(self):
        result = CACHE / "go" / "caller"
        return self._build(
            "go", "go", result, [(["go", "build", "-o", str(result), "."], HERE / "go", {})]
        )

    def python(self):
        folder = CACHE / "python"
        requirements = HERE / "python" / "requirements.txt"
        return self._build(
            "python", "python3", folder / "bin" / "python",
            [(["python3", "-m", "venv", str(folder)], CACHE, {}),
             ([folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", requirements],
              CACHE, {})],
        )

    @staticmethod
    def python_caller():
        return HERE / "python" / "caller.py"

    def rotel(self):
        python = self.python()
        found = sorted(python.parents[1].glob("lib/*/site-packages/rotel/rotel-agent")
                       ) if python else []
        if not found:
            self.missing["rotel"] = self.missing.get("python", "its package has no agent")
            return None
        return found[0]

    def collector(self):
        folder = CACHE / "collector"
        return self._build(
            "collector", "go", folder / "otelcol-bench",
            [(["go", "run", f"go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR}",
               "--config", HERE / "collector" / "builder.yaml", "--output-path", folder],
              CACHE, {})],
        )
