# SPDX-License-Identifier: MIT
"""The peers, each as an object with prefill(), decode(n) and train(): all with random weights, batch 1.

prefill: the state after the prompt and the logits of its last token; decode: tokens read one by one after the prompt;
train: forward, backward, clipping and AdamW of one sequence.
"""
import ctypes
from pathlib import Path

VOCABULARY, WIDTH, HIDDEN, LAYERS, HEADS, CONTEXT = 32000, 768, 2048, 12, 12, 1024
MAMBA_LAYERS = 24  # "130m", here with the vocabulary of the others


class TorchPeer:
    def __init__(self, name, precision):
        import torch
        self.torch = torch
        torch.manual_seed(1)
        self.model = self.build(name)
        self.precision = precision
        self.ids = torch.randint(0, VOCABULARY, (1, CONTEXT + 1))
        self.optimizer = None

    autocast = True  # in bf16; else weights, gradients and moments are bf16 too, which is faster and learns less

    def computing(self, training):
        """The contexts of a measurement; autocast keeps the rounded weights while it lasts."""
        bf16 = self.precision == "bf16"
        if bf16 and not self.autocast:
            self.model.bfloat16()
        grad = self.torch.enable_grad() if training else self.torch.no_grad()
        return grad, self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=bf16 and self.autocast)

    def train(self):
        torch = self.torch
        if not self.optimizer:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1,
                                               fused=True)
        logits = self.logits(self.ids[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits[0].float(), self.ids[0, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class TttTorch(TorchPeer):
    """bench/peers/ttt_torch.py"""

    def build(self, name):
        import ttt_torch
        return ttt_torch.Ttt(ttt_torch.standard("mlp" if name.endswith("mlp") else "linear"))

    def logits(self, ids):
        return self.model(ids)[0]

    def prefill(self):
        self.state = self.model(self.ids[:, :CONTEXT], last_only=True)[1]

    def decode(self, count):
        for t in range(count):
            _, self.state = self.model(self.ids[:, t:t + 1], self.state, last_only=True)


class HuggingFace(TorchPeer):
    autocast = False

    def build(self, name):
        import transformers
        if name == "hf-llama":
            config = transformers.LlamaConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=HIDDEN,
                                              num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                                              max_position_embeddings=2 * CONTEXT, tie_word_embeddings=True)
            self.cache_name = "past_key_values"
            return transformers.LlamaForCausalLM(config)
        config = transformers.MambaConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=MAMBA_LAYERS)
        self.cache_name = "cache_params"
        return transformers.MambaForCausalLM(config)

    def logits(self, ids):
        return self.model(ids, use_cache=False).logits

    def train(self):
        if self.cache_name == "cache_params":
            self.model.gradient_checkpointing_enable()  # Mamba would want more than 24 GB
        super().train()

    def prefill(self):
        out = self.model(self.ids[:, :CONTEXT], use_cache=True, logits_to_keep=1)
        self.cache = getattr(out, self.cache_name)

    def decode(self, count):
        for t in range(count):
            out = self.model(self.ids[:, t:t + 1], use_cache=True, **{self.cache_name: self.cache})
            self.cache = getattr(out, self.cache_name)


class LlamaCpp:
    """llama.cpp, from a GGUF file of random weights that is made once for each format."""

    def __init__(self, name, test, precision, threads):
        import llama_cpp
        import gguf_random
        self.lib = llama_cpp
        path = gguf_random.make(Path("build/peers"), name.removeprefix("llamacpp-"), precision)
        # The prompt and everything decoded after it fit into the context; 512 rows at a time, as llama-bench has them.
        # Its flash attention is the faster one for a prompt and the slower one for single tokens.
        self.llama = llama_cpp.Llama(str(path), n_ctx=2 * CONTEXT, n_batch=CONTEXT, n_ubatch=512, n_threads=threads,
                                     n_threads_batch=threads, flash_attn=test == "prefill", verbose=False)
        self.ids = [(i * 7919) % VOCABULARY for i in range(CONTEXT)]

    def computing(self, training):
        from contextlib import nullcontext
        return nullcontext(), nullcontext()

    def prefill(self):
        self.llama.reset()
        self.llama.eval(self.ids)
        self.read_logits()

    def decode(self, count):
        for token in self.ids[:count]:
            self.llama.eval([token])
            self.read_logits()

    def read_logits(self):  # they are computed lazily on some backends
        return ctypes.cast(self.lib.llama_get_logits(self.llama.ctx), ctypes.POINTER(ctypes.c_float))[0]


def open_peer(name, test, precision, threads):
    if name.startswith("llamacpp"):
        return LlamaCpp(name, test, precision, threads)
    import torch
    torch.set_num_threads(threads)
    return (TttTorch if name.startswith("ttt-torch") else HuggingFace)(name, precision)
