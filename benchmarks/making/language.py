"""Language models: folders as transformers and its relatives write them, tokenizers, word vectors, GGUF."""

import importlib
from pathlib import Path
from typing import Any

_TEXTS = ["the cat sat on the mat", "a model reads a file", "def f(x): return x + 1", "<|user|> hello, world!"] * 20
_SMALL = {
    "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64, "d_model": 16, "n_embd": 16, "n_layer": 2,
    "n_head": 2, "d_ff": 32, "d_kv": 8, "num_layers": 2, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "dim": 16,
    "n_heads": 2, "n_layers": 2, "hidden_dim": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16, "image_size": 32,
    "patch_size": 16,
}  # fmt: skip
_ARCHITECTURES = (
    "Bert:ForMaskedLM Roberta:ForSequenceClassification DistilBert:ForTokenClassification GPT2:LMHeadModel"
    " Llama:ForCausalLM Mistral:ForCausalLM Mixtral:ForCausalLM Qwen2:ForCausalLM Qwen3:ForCausalLM Gemma2:ForCausalLM"
    " Phi3:ForCausalLM T5:ForConditionalGeneration Bart:ForConditionalGeneration ViT:ForImageClassification"
    " Electra:ForPreTraining OPT:ForCausalLM Bloom:ForCausalLM GPTNeoX:ForCausalLM Albert:Model"
)
# In the way of well-known models: loops, roles, tools, errors raised by the template.
_TEMPLATES = {
    "chatml": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "tools": "{%- if tools %}{{- '[TOOLS]' }}{%- for tool in tools %}{{- tool.function | tojson(indent=2) }}"
    "{%- endfor %}{%- endif %}{%- set ns = namespace(last=messages|length - 1) %}{%- for m in messages %}"
    "{%- if m.role == 'user' and loop.index0 % 2 != 0 %}{{- raise_exception('Roles must alternate') }}"
    "{%- endif %}{%- if m.content is string %}"
    "{{- m.content | trim }}{%- else %}{%- for part in m.content %}{%- if part.type == 'text' %}{{- part.text }}"
    "{%- endif %}{%- endfor %}{%- endif %}{{- eos_token }}{%- endfor %}{{- strftime_now('%d %b %Y') }}",
}


def _tokenizer(kind: str) -> Any:
    """A small fast tokenizer, trained on the texts."""
    parts = importlib.import_module("tokenizers")
    models, trainers, before = parts.models, parts.trainers, parts.pre_tokenizers
    special = ["<pad>", "<s>", "</s>", "<unk>", "[MASK]", "<|im_start|>"]
    made = {
        "bpe": (models.BPE(unk_token="<unk>"), trainers.BpeTrainer(vocab_size=120, special_tokens=special)),
        "wordpiece": (
            models.WordPiece(unk_token="<unk>"),
            trainers.WordPieceTrainer(vocab_size=120, special_tokens=special),
        ),
        "unigram": (
            models.Unigram(),
            trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>"),
        ),
        "words": (models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(special_tokens=special)),
    }
    model, trainer = made[kind]
    tokenizer = parts.Tokenizer(model)
    tokenizer.pre_tokenizer = before.ByteLevel() if kind == "bpe" else before.Whitespace()
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


def transformers_models(folder: Path) -> None:
    """Small models of many architectures: configuration, generation settings, weights in both containers."""
    hf = importlib.import_module("transformers")
    torch = importlib.import_module("torch")
    for pair in _ARCHITECTURES.split():
        name, _, head = pair.partition(":")
        place = folder / name.lower()
        config = getattr(hf, f"{name}Config")(**_SMALL)
        model = getattr(hf, name + head)(config)
        model.save_pretrained(place)
        torch.save(model.state_dict(), place / "pytorch_model.bin")
    large = hf.LlamaForCausalLM(hf.LlamaConfig(**_SMALL))
    large.save_pretrained(folder / "sharded", max_shard_size="10KB")


def tokenizers_files(folder: Path) -> None:
    """Tokenizers of each kind, with chat templates."""
    hf = importlib.import_module("transformers")
    for kind in ("bpe", "wordpiece", "unigram", "words"):
        tokenizer = _tokenizer(kind)
        tokenizer.save(str(folder / f"{kind}.json"))
        tokenizer.model.save(str(folder), kind)
        fast = hf.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        )
        for name, template in _TEMPLATES.items():
            fast.chat_template = template
            fast.save_pretrained(folder / f"{kind}-{name}")
        fast.chat_template = _TEMPLATES | {"default": _TEMPLATES["chatml"]}
        fast.save_pretrained(folder / f"{kind}-both", save_jinja_files=False)


def trained(folder: Path) -> None:
    """A checkpoint of Trainer, an adapter of peft, a pipeline of diffusers, an encoder of sentence-transformers."""
    hf = importlib.import_module("transformers")
    torch = importlib.import_module("torch")
    config = hf.LlamaConfig(**_SMALL)
    rows = [{"input_ids": [1, 5, 6, 2], "labels": [1, 5, 6, 2], "attention_mask": [1] * 4}] * 4
    arguments = hf.TrainingArguments(
        str(folder / "trainer"), max_steps=2, save_steps=1, report_to=[], use_cpu=True, disable_tqdm=True
    )
    trainer = hf.Trainer(hf.LlamaForCausalLM(config), arguments, train_dataset=rows)
    trainer.train()
    trainer.save_model(str(folder / "trainer" / "final"))
    peft = importlib.import_module("peft")
    for name, settings in (
        ("lora", peft.LoraConfig(task_type="CAUSAL_LM", r=2)),
        (
            "ia3",
            peft.IA3Config(
                task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"]
            ),
        ),
        ("prompt", peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)),
    ):
        peft.get_peft_model(hf.LlamaForCausalLM(config), settings).save_pretrained(folder / name)
    diffusers = importlib.import_module("diffusers")
    unet = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8, 8), norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder / "ddpm")
    unet.save_pretrained(folder / "unet-bin", safe_serialization=False)
    sentence = importlib.import_module("sentence_transformers")
    bert = folder / "bert"
    hf.BertModel(hf.BertConfig(**_SMALL)).save_pretrained(bert)
    hf.PreTrainedTokenizerFast(tokenizer_object=_tokenizer("wordpiece"), pad_token="<pad>").save_pretrained(bert)
    parts = importlib.import_module("sentence_transformers.models")
    dense = parts.Dense(16, 8, activation_function=torch.nn.Tanh())
    modules = [parts.Transformer(str(bert)), parts.Pooling(16), dense, parts.Normalize()]
    sentence.SentenceTransformer(modules=modules).save(str(folder / "sentence"))


def vectors(folder: Path) -> None:
    """gensim's models, whole and in word2vec's formats."""
    models = importlib.import_module("gensim.models")
    corpora = importlib.import_module("gensim.corpora")
    texts = [text.split() for text in _TEXTS]
    for kind in (models.Word2Vec, models.FastText):
        kind(texts, vector_size=8, min_count=1, epochs=1, **({"bucket": 50} if kind is models.FastText else {})).save(
            str(folder / f"{kind.__name__}.model")
        )
    word = models.Word2Vec(texts, vector_size=8, min_count=1).wv
    word.save(str(folder / "vectors.kv"))
    word.save_word2vec_format(str(folder / "vectors.bin"), binary=True)
    word.save_word2vec_format(str(folder / "vectors.txt"))
    tagged = [models.doc2vec.TaggedDocument(text, [index]) for index, text in enumerate(texts)]
    models.Doc2Vec(tagged, vector_size=8, min_count=1, epochs=1).save(str(folder / "doc2vec.model"))
    dictionary = corpora.Dictionary(texts)
    dictionary.save(str(folder / "words.dict"))
    bags = [dictionary.doc2bow(text) for text in texts]
    for name in ("LdaModel", "LsiModel", "TfidfModel", "HdpModel"):
        getattr(models, name)(bags, id2word=dictionary).save(str(folder / f"{name}.model"))
    models.Phrases(texts, min_count=1).save(str(folder / "phrases.pkl"))


def gguf_files(folder: Path) -> None:
    """GGUF with a vocabulary and templates, of several kinds of tensors; an adapter; a split one."""
    import numpy as np

    gguf = importlib.import_module("gguf")
    generator = np.random.default_rng(0)
    for architecture in ("llama", "qwen2", "gemma2", "bert"):
        writer = gguf.GGUFWriter(folder / f"{architecture}.gguf", architecture)
        writer.add_name(f"tiny {architecture}")
        writer.add_context_length(64)
        writer.add_embedding_length(32)
        writer.add_block_count(1)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        writer.add_tokenizer_model("llama")
        words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁the", "▁cat"]
        writer.add_token_list(words)
        writer.add_token_scores([0.0] * len(words))
        writer.add_token_types([2, 3, 3, *[6] * 256, 1, 1])
        writer.add_chat_template(_TEMPLATES["chatml"])
        writer.add_chat_template(
            [
                {"name": "default", "template": _TEMPLATES["chatml"]},
                {"name": "tool_use", "template": _TEMPLATES["tools"]},
            ]
        )
        writer.add_tensor("token_embd.weight", generator.normal(size=(8, 32)).astype("f4"))
        writer.add_tensor("output_norm.weight", np.ones(32, "f2"))
        packed = gguf.quants.quantize(generator.normal(size=(4, 32)).astype("f4"), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blk.0.attn_q.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
