"""Ordinary objects as people save them, library by library, for `collect_globals.py`. Nothing here is hostile."""

from model_zoo import estimators, networks, values

MAKERS = (
    values.python,
    values.numpy,
    values.pandas,
    values.scipy,
    values.tables,
    estimators.sklearn,
    estimators.other_estimators,
    estimators.statsmodels,
    estimators.language,
    estimators.prophet,
    networks.torch,
    networks.vision,
    networks.transformers,
    networks.training,
    networks.keras,
)
