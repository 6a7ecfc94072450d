"""The contract of backends, kept by pods; their two programs run, and the API server is one for tests."""

from tests.contracts.backend import BackendContract


class TestContract(BackendContract):
    pass
