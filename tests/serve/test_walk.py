# SPDX-License-Identifier: MIT
"""What docs/SERVING.md tells people to type is answered: its blocks marked `sh` are run, at this server's port."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

from serving import run_tests, scratch

if not shutil.which("curl"):
    print("skipped: apt-get install curl")
    sys.exit(77)

GUIDE = Path(__file__).resolve().parents[2] / "docs/SERVING.md"


def test_the_walk(server):
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    assert len(blocks) >= 6
    for block in blocks:
        script = "set -e\ncurl() { command curl -sS --fail-with-body --max-time 60 \"$@\"; echo; }\n" + block
        result = subprocess.run(["bash", "-c", script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")],
                                capture_output=True, text=True, cwd=scratch())
        assert result.returncode == 0, block + result.stdout + result.stderr


run_tests(globals())
