"""Installed as /opt/runner/agent.py: `python3 -I -S /opt/runner/agent.py [SOCKET]`."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves the script's own directory out

from runner.agent.agent import main

main(sys.argv)
