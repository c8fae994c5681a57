"""Fitted estimators, statistical and language models as people pickle them. Nothing here is hostile."""

import copy
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

from model_zoo.trying import made, members, tried


def sklearn() -> Iterator[Any]:
    import numpy as np
    from sklearn import pipeline, preprocessing, svm
    from sklearn.utils import all_estimators

    generator = np.random.default_rng(0)
    X, y = np.abs(generator.normal(size=(40, 4))) + 0.1, np.arange(40) % 2
    inner = svm.LinearSVC()
    wrap: dict[str, dict[str, Any]] = {
        "ColumnTransformer": {"transformers": [("a", preprocessing.StandardScaler(), [0])]},
        "FeatureUnion": {"transformer_list": [("a", preprocessing.StandardScaler())]},
        "Pipeline": {"steps": [("a", preprocessing.StandardScaler()), ("b", inner)]},
        "GridSearchCV": {"estimator": inner, "param_grid": {"C": [1, 2]}},
        "RandomizedSearchCV": {"estimator": inner, "param_distributions": {"C": [1, 2]}, "n_iter": 2},
        "FunctionTransformer": {"func": np.log1p},
    }
    for name, kind in all_estimators():
        named = wrap.get(name, {})
        needs = inspect.signature(kind).parameters
        if not named and "estimators" in needs:
            named = {"estimators": [("a", inner), ("b", svm.SVC())]}
        elif not named and "estimator" in needs and needs["estimator"].default is inspect.Parameter.empty:
            named = {"estimator": inner}
        for estimator in made(kind, **named):
            yield estimator
            for target in (y, generator.normal(size=40), np.column_stack([y, 1 - y]), None):
                with tried():
                    yield copy.deepcopy(estimator).fit(X, target)
                    break
    text = importlib.import_module("sklearn.feature_extraction.text")
    for kind in (text.TfidfVectorizer, text.CountVectorizer):
        yield kind().fit(["a b cd", "cd ef"])
    yield from (pipeline.make_pipeline(preprocessing.StandardScaler(), inner).fit(X, y), text.TfidfTransformer)
    for name in ("model_selection", "metrics", "gaussian_process.kernels", "utils", "_loss", "cluster", "datasets"):
        for kind in members(f"sklearn.{name}"):
            yield from made(kind)
    metrics = importlib.import_module("sklearn.metrics")
    yield from (metrics.get_scorer(name) for name in metrics.get_scorer_names())
    yield from (value for value in vars(metrics).values() if inspect.isfunction(value))
    yield from vars(importlib.import_module("sklearn.metrics.pairwise"))["PAIRWISE_KERNEL_FUNCTIONS"].values()
    names = "f_classif f_regression chi2 mutual_info_classif mutual_info_regression"
    yield from (getattr(importlib.import_module("sklearn.feature_selection"), name) for name in names.split())
    yield importlib.import_module("sklearn.datasets").load_iris()


def other_estimators() -> Iterator[Any]:
    import numpy as np

    X = np.random.default_rng(0).normal(size=(60, 4))
    y = np.arange(60) % 2
    packages = (
        "xgboost lightgbm catboost imblearn.over_sampling imblearn.under_sampling imblearn.ensemble imblearn.combine"
    )
    packages += (
        " imblearn.pipeline category_encoders hdbscan umap skopt mlxtend.classifier mlxtend.preprocessing skorch"
    )
    packages += (
        " mlxtend.feature_selection mlxtend.regressor river.linear_model river.tree river.preprocessing lifelines"
    )
    packages += (
        " sktime.forecasting.naive sktime.transformations.series.detrend sktime.classification.dummy pynndescent"
    )
    quiet: dict[str, Any] = {"verbose": 0}
    for package in packages.split():
        for kind in members(package):
            if kind.__name__.startswith("Dask"):
                continue
            if not hasattr(kind, "fit") and not hasattr(kind, "learn_one"):
                yield from made(kind)
                continue
            for estimator in made(kind, **(quiet if package == "catboost" else {})):
                yield estimator
                with tried():
                    yield estimator.fit(X, y)
    xgboost = importlib.import_module("xgboost")
    yield xgboost.train({}, xgboost.DMatrix(X, y), 2)
    lightgbm = importlib.import_module("lightgbm")
    yield lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 2)


def statsmodels() -> Iterator[Any]:
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm
    import statsmodels.formula.api as smf

    X = sm.add_constant(np.random.default_rng(0).normal(size=(60, 2)))
    y = X @ [1.0, 2, 3] + np.random.default_rng(1).normal(size=60)
    yield from (sm.OLS(y, X).fit(), sm.WLS(y, X).fit(), sm.GLS(y, X).fit(), sm.RLM(y, X).fit())
    for name in ("Gaussian", "Gamma", "Poisson"):
        yield sm.GLM(np.abs(y) + 1, X, family=getattr(sm.families, name)()).fit()
    yield from (
        sm.Logit(y > 0, X).fit(disp=0),
        sm.Probit(y > 0, X).fit(disp=0),
        sm.Poisson(np.round(abs(y)), X).fit(disp=0),
    )
    yield from (
        sm.tsa.ARIMA(y, order=(1, 0, 0)).fit(),
        sm.tsa.SARIMAX(y).fit(disp=0),
        sm.tsa.ExponentialSmoothing(y).fit(),
    )
    yield from (sm.tsa.AutoReg(y, 1).fit(), sm.tsa.VAR(X[:, 1:]).fit(1), sm.tsa.STL(pd.Series(y), period=4).fit())
    yield smf.ols("y ~ a + b", pd.DataFrame({"y": y, "a": X[:, 1], "b": X[:, 2]})).fit()
    yield sm.tsa.UnobservedComponents(y, "local level").fit(disp=0)


def language() -> Iterator[Any]:
    import nltk

    words = [["the", "dog", "runs"], ["a", "cat", "runs"]] * 20
    tagged = [[(word, "X") for word in line] for line in words]
    yield from (nltk.FreqDist(words[0]), nltk.tokenize.punkt.PunktSentenceTokenizer(), nltk.PorterStemmer())
    yield from (
        nltk.UnigramTagger(tagged),
        nltk.BigramTagger(tagged, backoff=nltk.DefaultTagger("N")),
        nltk.WordNetLemmatizer(),
    )
    yield nltk.NaiveBayesClassifier.train([({"a": 1}, "x"), ({"a": 2}, "y")])
    yield from (
        nltk.tokenize.RegexpTokenizer(r"\w"),
        nltk.stem.SnowballStemmer("english"),
        nltk.tokenize.TreebankWordTokenizer(),
    )
    gensim = importlib.import_module("gensim")
    models = importlib.import_module("gensim.models")
    for kind in (models.Word2Vec, models.FastText):
        model = kind(words, vector_size=4, min_count=1)
        yield from (model, model.wv)
    dictionary = gensim.corpora.Dictionary(words)
    corpus = [dictionary.doc2bow(line) for line in words]
    yield from (dictionary, models.LdaModel(corpus, id2word=dictionary, num_topics=2), models.TfidfModel(corpus))
    yield from (models.LsiModel(corpus, id2word=dictionary), models.Phrases(words), corpus)
    spacy = importlib.import_module("spacy")
    blank = spacy.blank("en")
    yield from (blank.vocab, blank("a cat"), blank.tokenizer)


def prophet() -> Iterator[Any]:

    yield importlib.import_module("prophet").Prophet()
    yield importlib.import_module("pandas.tseries.holiday").USFederalHolidayCalendar()
