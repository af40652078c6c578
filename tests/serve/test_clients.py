# SPDX-License-Identifier: MIT
"""scripts/clients.py with a small model: the official openai package as a client, skipped (77) where it is absent."""
import subprocess
import sys
from pathlib import Path

from serving import TTT, make_model

clients = Path(__file__).resolve().parent.parent.parent / "scripts/clients.py"
done = subprocess.run([sys.executable, clients], capture_output=True, text=True)
if done.returncode == 77:
    print(done.stdout, end="")
    sys.exit(77)
sys.exit(subprocess.run([sys.executable, clients, TTT, make_model(steps=30)]).returncode)
