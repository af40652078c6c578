# SPDX-License-Identifier: MIT
"""TTT-Linear and TTT-MLP in PyTorch, to measure against: the dual form of docs/MATH.md with every product that does
not depend on the learner's weights taken out of the loop over mini-batches, and the inner gradient as one function with
a backward written by hand.

    python bench/peers/ttt_torch.py GOLDENS    checks logits, loss, gradients and states against the golden folders
"""
import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

LN_EPS = 1e-6
aten = torch.ops.aten


def standard(layer, name="125m"):
    """config.json of a standard configuration: mamba backbone and pre_conv."""
    width, hidden, layers, heads = {"125m": (768, 2048, 12, 12), "tiny": (256, 688, 4, 4)}[name]
    return dict(vocab_size=32000 if name == "125m" else 4096, hidden_size=width, intermediate_size=hidden,
                num_hidden_layers=layers, num_attention_heads=heads, mini_batch_size=16, conv_kernel=4,
                ttt_layer_type=layer, ttt_base_lr=0.1 if layer == "mlp" else 1.0, use_gate=True, share_qk=True,
                pre_conv=True, rms_norm_eps=1e-6, rope_theta=10000.0, tie_word_embeddings=True)


def project(u, z, mean, rstd):
    """P(u) / sigma of MATH (standardise)."""
    return aten.native_layer_norm_backward(u, z, [z.shape[-1]], mean, rstd, None, None, [True, False, False])[0]


class InnerGradient(torch.autograd.Function):
    """g of MATH (inner), the gradient of 1/2 |LN(z) - target|^2."""

    @staticmethod
    def forward(ctx, z, target, gamma, beta):
        z = z.contiguous()
        xhat, mean, rstd = aten.native_layer_norm(z, [z.shape[-1]], None, None, LN_EPS)
        miss = torch.addcmul(beta - target, gamma, xhat)
        e = gamma * miss
        g = project(e, z, mean, rstd)
        ctx.save_for_backward(z, xhat, mean, rstd, miss, e, g, gamma)
        return g

    @staticmethod
    def backward(ctx, u):
        z, xhat, mean, rstd, miss, e, g, gamma = ctx.saved_tensors
        u = u.contiguous()
        size = z.shape[-1]
        de = project(u, z, mean, rstd)
        dsigma = (u * g).sum(-1, keepdim=True) * rstd
        turn = u * (e * xhat).mean(-1, keepdim=True) + e * (u * xhat).mean(-1, keepdim=True)
        de_gamma = de * gamma
        dxhat = torch.addcmul(-turn * rstd, gamma, de_gamma)
        dz = torch.addcmul(project(dxhat, z, mean, rstd), dsigma, xhat, value=-1 / size)
        dgamma = torch.addcmul(de * miss, de_gamma, xhat)
        return dz, -de_gamma, dgamma.sum((0, 2)).unsqueeze(1), de_gamma.sum((0, 2)).unsqueeze(1)


def layer_norm(z, gamma, beta):
    """Per head: z [.., H, T, D], gamma and beta [H, 1, D]."""
    return torch.addcmul(beta, gamma, F.layer_norm(z, [z.shape[-1]], eps=LN_EPS))


def full(x):
    return x.float() if x.dtype == torch.bfloat16 else x


class Learner(nn.Module):
    """W and b of one head are [D, E] and [1, E]; all heads are [H, D, E]."""

    def __init__(self, c):
        super().__init__()
        heads, size = c["num_attention_heads"], c["hidden_size"] // c["num_attention_heads"]
        wide = 4 * size if c["ttt_layer_type"] == "mlp" else size
        self.mlp = c["ttt_layer_type"] == "mlp"
        self.mini_batch = c["mini_batch_size"]
        self.W1 = nn.Parameter(0.02 * torch.randn(heads, size, wide))
        self.b1 = nn.Parameter(torch.zeros(heads, 1, wide))
        if self.mlp:
            self.W2 = nn.Parameter(0.02 * torch.randn(heads, wide, size))
            self.b2 = nn.Parameter(torch.zeros(heads, 1, size))
        self.ttt_norm_weight = nn.Parameter(torch.ones(heads, size))
        self.ttt_norm_bias = nn.Parameter(torch.zeros(heads, size))

    def names(self):
        return ("W1", "b1", "W2", "b2") if self.mlp else ("W1", "b1")

    def begin(self, batch):
        """The state of empty sequences: the weights, and the sums of the open mini-batch."""
        state = {}
        for name in self.names():
            weight = getattr(self, name)
            state[name] = weight.unsqueeze(0).expand(batch, *weight.shape)
            state[name + "_grad"] = torch.zeros_like(state[name])
        return state

    def whole(self, q, k, v, r, factor, state):
        """Whole mini-batches: q, k, v [B,H,N,K,D], r [B,H,N,K], factor [K]; the state's sums are zero and stay so."""
        gamma, beta = self.ttt_norm_weight.unsqueeze(1), self.ttt_norm_bias.unsqueeze(1)
        B, H, N, K, D = q.shape
        target = v - k
        last = factor[-1] * r.unsqueeze(-1)  # what a token adds to the next mini-batch's weights
        reads = torch.tril((q @ k.transpose(-1, -2) + 1) * r.unsqueeze(-2)) * factor.unsqueeze(-1)
        writes = (last * k).transpose(-1, -2)
        rates = torch.tril(r.unsqueeze(-2) * factor.unsqueeze(-1))
        parts = [x.unbind(2) for x in (q, k, target, reads, writes, last.transpose(-1, -2), rates)]
        step = self.mlp_step if self.mlp else self.linear_step
        weights = [state[name] for name in self.names()]
        z = []
        for n in range(N):
            zbar, weights = step([part[n] for part in parts], weights, gamma, beta)
            z.append(zbar)
        state = dict(state, **dict(zip(self.names(), weights)))
        z = torch.stack(z, 2)
        return q + layer_norm(z, gamma.unsqueeze(1), beta.unsqueeze(1)), state

    def linear_step(self, parts, weights, gamma, beta):
        q, k, target, reads, writes, last, _ = parts
        W, b = weights
        g = InnerGradient.apply(k @ W + b, target, gamma, beta)
        zbar = q @ W + b - reads @ g
        return zbar, [W - writes @ g, b - last @ g]

    def mlp_step(self, parts, weights, gamma, beta):
        q, k, target, reads, writes, last, rates = parts
        W1, b1, W2, b2 = weights
        z1 = k @ W1 + b1
        a = F.gelu(z1, approximate="tanh")
        g2 = InnerGradient.apply(a @ W2 + b2, target, gamma, beta)
        h = g2 @ W2.transpose(-1, -2)
        g1 = aten.gelu_backward(h, z1, approximate="tanh")
        abar = F.gelu(q @ W1 + b1 - reads @ g1, approximate="tanh")
        reads2 = (abar @ a.transpose(-1, -2) + 1) * rates
        zbar = abar @ W2 + b2 - reads2 @ g2
        new = [W1 - writes @ g1, b1 - last @ g1, W2 - (last.transpose(-1, -2) * a).transpose(-1, -2) @ g2, b2 - last @ g2]
        return zbar, new

    def one(self, q, k, v, r, factor, closes, state):
        """One token: q, k, v [B,H,1,D], r [B,H,1,1], factor a number; in the primal form, as the sums are needed."""
        gamma, beta = self.ttt_norm_weight.unsqueeze(1), self.ttt_norm_bias.unsqueeze(1)
        s = dict(state)
        z1 = k @ s["W1"] + s["b1"]
        if self.mlp:
            a = F.gelu(z1, approximate="tanh")
            g2 = r * InnerGradient.apply(a @ s["W2"] + s["b2"], v - k, gamma, beta)
            g1 = aten.gelu_backward(g2 @ s["W2"].transpose(-1, -2), z1, approximate="tanh")
            s["W2_grad"], s["b2_grad"] = s["W2_grad"] + a.transpose(-1, -2) @ g2, s["b2_grad"] + g2
        else:
            g1 = r * InnerGradient.apply(z1, v - k, gamma, beta)
        s["W1_grad"], s["b1_grad"] = s["W1_grad"] + k.transpose(-1, -2) @ g1, s["b1_grad"] + g1
        now = {name: s[name] - factor * s[name + "_grad"] for name in self.names()}
        z = q @ now["W1"] + now["b1"]
        if self.mlp:
            z = F.gelu(z, approximate="tanh") @ now["W2"] + now["b2"]
        if closes:
            for name in self.names():
                s[name], s[name + "_grad"] = now[name], torch.zeros_like(s[name + "_grad"])
        return q + layer_norm(z, gamma, beta), s


class Conv(nn.Module):
    """Causal, depthwise, over x [B,T,C] with the rows before it, `tail` [B,taps-1,C]."""

    def __init__(self, width, taps):
        super().__init__()
        self.weight = nn.Parameter(0.5 * torch.randn(width, 1, taps))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x, tail):
        rows = torch.cat([tail, x], 1)
        T, taps = x.shape[1], self.weight.shape[2]
        if T == 1:
            return (rows * self.weight[:, 0].t()).sum(1, keepdim=True) + self.bias
        return F.conv1d(rows.transpose(1, 2), self.weight, self.bias, groups=x.shape[2]).transpose(1, 2)


def next_tail(x, tail):
    return torch.cat([tail, x], 1)[:, -tail.shape[1]:]


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class TttLayer(Learner):
    def __init__(self, c):
        super().__init__(c)
        width, self.heads = c["hidden_size"], c["num_attention_heads"]
        self.c = c
        linear = lambda: nn.Linear(width, width, bias=False)
        self.q_proj, self.v_proj, self.o_proj = linear(), linear(), linear()
        if c["share_qk"]:
            self.conv_q, self.conv_k = Conv(width, c["conv_kernel"]), Conv(width, c["conv_kernel"])
        else:
            self.k_proj = linear()
        if c["use_gate"]:
            self.g_proj = linear()
        self.learnable_ttt_lr_weight = nn.Parameter(0.02 * torch.randn(self.heads, 1, width))
        self.learnable_ttt_lr_bias = nn.Parameter(torch.zeros(self.heads, 1))
        self.learnable_token_idx = nn.Parameter(torch.zeros(c["mini_batch_size"]))
        self.post_norm = nn.LayerNorm(width, eps=LN_EPS)
        size, K = width // self.heads, c["mini_batch_size"]
        angle = torch.arange(K, dtype=torch.float64).unsqueeze(1) * c["rope_theta"] ** (
            -torch.arange(0, size, 2, dtype=torch.float64) / size)
        real = torch.get_default_dtype()
        self.cos, self.sin = angle.cos().to(real), angle.sin().to(real)
        self.place = (1 / torch.arange(1, K + 1, dtype=torch.float64)).to(real)

    def rotate(self, x, first):
        """x [B,H,T,D], the first of which stands at `first` of the sequence."""
        at = (torch.arange(first, first + x.shape[2]) % self.mini_batch)
        cos, sin = self.cos[at], self.sin[at]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    def begin(self, batch):
        state = super().begin(batch)
        if self.c["share_qk"]:
            state["tail"] = self.W1.new_zeros(batch, self.c["conv_kernel"] - 1, self.c["hidden_size"])
        return state

    def forward(self, x, position, state):
        B, T, C = x.shape
        D = C // self.heads
        state = dict(state)
        u = self.q_proj(x)
        if self.c["share_qk"]:
            u = full(u)
            q, k = self.conv_q(u, state["tail"]), self.conv_k(u, state["tail"])
            state["tail"] = next_tail(u, state["tail"])
        else:
            q, k = u, self.k_proj(x)
        split = lambda y: full(y).reshape(B, T, self.heads, D).transpose(1, 2)
        q, k, v = self.rotate(split(q), position), self.rotate(split(k), position), split(self.v_proj(x))
        logits = F.linear(x, self.learnable_ttt_lr_weight.squeeze(1)) + self.learnable_ttt_lr_bias.squeeze(1)
        r = (torch.sigmoid(full(logits)) * (self.c["ttt_base_lr"] / D)).transpose(1, 2)
        factor = torch.clamp_min(self.place + self.learnable_token_idx, 0)
        with torch.autocast("cpu", enabled=False):  # small products in bf16 are many times slower than in f32
            z, state = self.learn(q, k, v, r, factor, position, state)
        z = self.post_norm(z.transpose(1, 2).reshape(B, T, C))
        if self.c["use_gate"]:
            z = F.gelu(self.g_proj(x), approximate="tanh") * z
        return self.o_proj(z), state

    def learn(self, q, k, v, r, factor, position, state):
        """Up to the next end of a mini-batch token by token, then whole mini-batches, then the rest."""
        T, K = q.shape[2], self.mini_batch
        head = min(-position % K, T)
        whole = (T - head) // K * K
        outs = []

        def tokens(first, count, state):
            for t in range(first, first + count):
                place = (position + t) % K
                cut = lambda y: y[:, :, t:t + 1]
                out, state = self.one(cut(q), cut(k), cut(v), cut(r).unsqueeze(-1), factor[place], place == K - 1, state)
                outs.append(out)
            return state

        state = tokens(0, head, state)
        if whole:
            cut = lambda y: y[:, :, head:head + whole].unflatten(2, (whole // K, K))
            out, learned = self.whole(cut(q), cut(k), cut(v), cut(r), factor, state)
            state = dict(state, **learned)
            outs.append(out.flatten(2, 3))
        state = tokens(head + whole, T - head - whole, state)
        return (outs[0] if len(outs) == 1 else torch.cat(outs, 2)), state


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class PreConv(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.conv = RMSNorm(c["hidden_size"], c["rms_norm_eps"]), Conv(c["hidden_size"], c["conv_kernel"])


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["hidden_size"]
        if c["pre_conv"]:
            self.conv = PreConv(c)
        self.seq_norm, self.ffn_norm = RMSNorm(width, c["rms_norm_eps"]), RMSNorm(width, c["rms_norm_eps"])
        self.seq_modeling_block = TttLayer(c)
        self.mlp = Mlp(width, c["intermediate_size"])
        self.pre_conv, self.taps, self.width = c["pre_conv"], c["conv_kernel"], width

    def begin(self, batch):
        state = {"layer": self.seq_modeling_block.begin(batch)}
        if self.pre_conv:
            state["tail"] = self.seq_norm.weight.new_zeros(batch, self.taps - 1, self.width)
        return state

    def forward(self, h, position, state):
        new = {}
        if self.pre_conv:
            x = self.conv.norm(h)
            h = h + self.conv.conv(x, state["tail"])
            new["tail"] = next_tail(x, state["tail"])
        y, new["layer"] = self.seq_modeling_block(self.seq_norm(h), position, state["layer"])
        h = h + full(y)
        return h + full(self.mlp(self.ffn_norm(h))), new


class Body(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab_size"], c["hidden_size"])
        self.layers = nn.ModuleList(Block(c) for _ in range(c["num_hidden_layers"]))
        self.norm = RMSNorm(c["hidden_size"], c["rms_norm_eps"])


class Ttt(nn.Module):
    """Parameters have the names of ttt-lm-pytorch."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.model = Body(c)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
        if not c["tie_word_embeddings"]:
            self.lm_head = nn.Linear(c["hidden_size"], c["vocab_size"], bias=False)

    def begin(self, batch):
        return {"position": 0, "blocks": [block.begin(batch) for block in self.model.layers]}

    def forward(self, ids, state=None, last_only=False):
        """Logits and the state after `ids` [B,T]."""
        state = state or self.begin(ids.shape[0])
        h, blocks = self.model.embed_tokens(ids), []
        for block, before in zip(self.model.layers, state["blocks"]):
            h, after = block(h, state["position"], before)
            blocks.append(after)
        h = self.model.norm(h[:, -1:] if last_only else h)
        head = self.model.embed_tokens.weight if self.c["tie_word_embeddings"] else self.lm_head.weight
        return F.linear(h, head), {"position": state["position"] + ids.shape[1], "blocks": blocks}


def check(folder):
    """One golden folder, in double; returns the worst difference relative to the largest value of each tensor."""
    from safetensors.torch import load_file
    torch.set_default_dtype(torch.float64)
    defaults = dict(use_gate=False, share_qk=False, pre_conv=False, conv_kernel=4, mini_batch_size=16, ttt_base_lr=1.0,
                    tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=10000.0)
    model = Ttt(dict(defaults, **json.loads((folder / "config.json").read_text())))
    model.load_state_dict({name: x.double() for name, x in load_file(folder / "model.safetensors").items()})
    golden = load_file(folder / "golden.safetensors")
    tokens = golden["tokens"].long()
    worst = ("", 0.0)

    def compare(name, ours, theirs):
        nonlocal worst
        difference = ((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-3)).item()
        if not difference <= worst[1]:
            worst = (name, difference)

    logits, state = model(tokens)
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    compare("logits", logits, golden["logits"])
    compare("loss", loss.reshape(1), golden["loss"])
    for name, parameter in model.named_parameters():
        compare("grad." + name, parameter.grad, golden["grad." + name])
    with torch.no_grad():  # a part, then token by token
        cut = tokens.shape[1] // 3
        first, later = model(tokens[:, :cut])
        rows = [first]
        for t in range(cut, tokens.shape[1]):
            row, later = model(tokens[:, t:t + 1], later)
            rows.append(row)
        compare("logits, one by one", torch.cat(rows, 1), golden["logits"])
        for way, after in (("whole", state), ("one by one", later)):
            for i, block in enumerate(after["blocks"]):
                for name, value in block["layer"].items():
                    if f"state.{i}.{name}" in golden:
                        theirs = golden[f"state.{i}.{name}"]
                        compare(f"state.{i}.{name}, {way}", value.reshape(theirs.shape), theirs)
    return worst


def main():
    bound = 1e-7  # gelu' is used with full constants here, the goldens have the rounded ones
    failed = 0
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        if not folder.name.startswith(("linear", "mlp")):
            continue
        name, difference = check(folder)
        ok = difference < bound and math.isfinite(difference)
        failed += not ok
        print(f"{'agrees ' if ok else 'DIFFERS'} {folder.name}: {difference:.1e} at most ({name})")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
