"""What `make_ordinary.py` makes: functions that write models of one framework into a folder."""

from making import estimators, graphs, keras_models, language, networks

MAKERS = (
    estimators.sklearn,
    estimators.boosters,
    estimators.science,
    networks.torch_files,
    networks.torch_programs,
    networks.torch_zoo,
    networks.lightning,
    networks.jax_files,
    language.transformers_models,
    language.tokenizers_files,
    language.trained,
    language.vectors,
    language.gguf_files,
    graphs.onnx_files,
    graphs.openvino_files,
    keras_models.keras3,
    keras_models.keras2,
    keras_models.saved_models,
    keras_models.tflite_files,
    keras_models.tensorflow_graphs,
)
