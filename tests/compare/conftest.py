"""Keeps the slow pairs of real exports for the environment that asks for them: ``-m pairs``."""
import pytest


def pytest_configure(config):
    config.addinivalue_line('markers', 'pairs: pairs of real exports by several vintages and TensorFlows (minutes)')


def pytest_collection_modifyitems(config, items):
    if 'pairs' in (config.getoption('markexpr') or ''):
        return
    for item in items:
        if item.get_closest_marker('pairs'):
            item.add_marker(pytest.mark.skip(reason='slow pairs of real exports: run with  -m pairs'))
