"""Right answers to chapter 05 that differ from the notebook's solutions."""

import torch


def position(pos, d_model):
    i = torch.arange(d_model // 2).double()
    angle = pos * torch.exp(-2 * i / d_model * torch.log(torch.tensor(1e4).double()))
    out = torch.empty(d_model).double()
    out[0::2], out[1::2] = angle.sin(), angle.cos()
    return out.tolist()


def layer_norm(x):
    return torch.stack([torch.nn.functional.layer_norm(row, row.shape) for row in x])


def learning_rate(step, d_model, n_warmup):
    scale = 1 / d_model**0.5
    if step < n_warmup:
        return scale * step / n_warmup**1.5
    return scale / step**0.5


def smoothed_goal(right, n_words, epsilon):
    certain = torch.nn.functional.one_hot(torch.tensor(right), n_words).double()
    return (certain * (1 - epsilon) + epsilon / n_words).tolist()


def n_parameters(d_model, d_ff):
    layer = torch.nn.TransformerEncoderLayer(d_model, 1, d_ff)
    return sum(p.numel() for p in layer.parameters())
