"""What needs several devices runs in a process of its own, see `test_on_devices`."""

import os

if "LLMGNN_TEST_DEVICES" not in os.environ:
    collect_ignore = ["on_devices"]
