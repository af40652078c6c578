# SPDX-License-Identifier: MIT
"""GGUF files of random weights: a Llama and a Mamba of the sizes in models.py, as f32 and quantised by llama.cpp."""
import numpy as np
from models import HEADS, HIDDEN, LAYERS, MAMBA_LAYERS, VOCABULARY, WIDTH

TYPES = {"bf16": "LLAMA_FTYPE_MOSTLY_BF16", "q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "q4_0": "LLAMA_FTYPE_MOSTLY_Q4_0"}


class Writer:
    def __init__(self, path, architecture, layers):
        import gguf
        self.gguf = gguf.GGUFWriter(path, architecture)
        self.random = np.random.default_rng(1)
        self.gguf.add_block_count(layers)
        self.gguf.add_context_length(4096)
        self.gguf.add_embedding_length(WIDTH)
        self.gguf.add_vocab_size(VOCABULARY)
        self.gguf.add_layer_norm_rms_eps(1e-6)
        self.add_tokenizer()
        self.normal("token_embd.weight", VOCABULARY, WIDTH)
        self.ones("output_norm.weight", WIDTH)

    def add_tokenizer(self):
        """Bytes, and words that nobody writes: llama.cpp's servers take texts alone."""
        names = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
        kinds = [2, 3, 3] + [6] * 256  # unknown, control, byte
        names += [f"\u2581word{i}" for i in range(VOCABULARY - len(names))]
        self.gguf.add_tokenizer_model("llama")
        self.gguf.add_token_list(names)
        self.gguf.add_token_scores([0.0] * VOCABULARY)
        self.gguf.add_token_types(kinds + [1] * (VOCABULARY - len(kinds)))

    def normal(self, name, *shape):
        self.add(name, 0.02 * self.random.standard_normal(shape, dtype=np.float32))

    def ones(self, name, *shape):
        self.add(name, np.ones(shape, np.float32))

    def add(self, name, values):
        self.gguf.add_tensor(name, np.ascontiguousarray(values, np.float32))

    def close(self):
        self.gguf.write_header_to_file()
        self.gguf.write_kv_data_to_file()
        self.gguf.write_tensors_to_file()
        self.gguf.close()


def write_llama(path):
    w = Writer(path, "llama", LAYERS)
    w.gguf.add_feed_forward_length(HIDDEN)
    w.gguf.add_head_count(HEADS)
    w.gguf.add_head_count_kv(HEADS)
    w.gguf.add_rope_dimension_count(WIDTH // HEADS)
    for i in range(LAYERS):
        w.ones(f"blk.{i}.attn_norm.weight", WIDTH)
        w.ones(f"blk.{i}.ffn_norm.weight", WIDTH)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            w.normal(f"blk.{i}.{name}.weight", WIDTH, WIDTH)
        w.normal(f"blk.{i}.ffn_gate.weight", HIDDEN, WIDTH)
        w.normal(f"blk.{i}.ffn_up.weight", HIDDEN, WIDTH)
        w.normal(f"blk.{i}.ffn_down.weight", WIDTH, HIDDEN)
    w.close()


def write_mamba(path):
    inner, state, taps, rank = 2 * WIDTH, 16, 4, WIDTH // 16
    w = Writer(path, "mamba", MAMBA_LAYERS)
    w.gguf.add_feed_forward_length(0)
    w.gguf.add_head_count(0)
    w.gguf.add_ssm_conv_kernel(taps)
    w.gguf.add_ssm_inner_size(inner)
    w.gguf.add_ssm_state_size(state)
    w.gguf.add_ssm_time_step_rank(rank)
    for i in range(MAMBA_LAYERS):
        w.ones(f"blk.{i}.attn_norm.weight", WIDTH)
        w.normal(f"blk.{i}.ssm_in.weight", 2 * inner, WIDTH)
        w.normal(f"blk.{i}.ssm_conv1d.weight", inner, taps)
        w.normal(f"blk.{i}.ssm_conv1d.bias", inner)
        w.normal(f"blk.{i}.ssm_x.weight", rank + 2 * state, inner)
        w.normal(f"blk.{i}.ssm_dt.weight", inner, rank)
        w.normal(f"blk.{i}.ssm_dt.bias", inner)
        w.add(f"blk.{i}.ssm_a", -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1)))
        w.ones(f"blk.{i}.ssm_d", inner)
        w.normal(f"blk.{i}.ssm_out.weight", WIDTH, inner)
    w.close()


def make(folder, architecture, precision):
    """The path of the file, which is made if it does not exist."""
    first = folder / f"{architecture}-f32.gguf"
    if not first.exists():
        {"llama": write_llama, "mamba": write_mamba}[architecture](first)
    path = folder / f"{architecture}-{precision}.gguf"
    if not path.exists():
        import llama_cpp
        options = llama_cpp.llama_model_quantize_default_params()
        options.ftype = getattr(llama_cpp, TYPES[precision])
        options.nthread = 1
        if llama_cpp.llama_model_quantize(str(first).encode(), str(path).encode(), options) != 0:
            raise RuntimeError(f"llama.cpp did not quantise {first} to {precision}")
    return path
